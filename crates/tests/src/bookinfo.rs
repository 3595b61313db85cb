//! What a person sees on bookinfo's page.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};

use crate::http::Client;

/// Which reviews a page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reviews {
    /// v1: no stars.
    Starless,
    /// v2.
    BlackStars,
    /// v3.
    RedStars,
    /// Stars could not be had.
    NoRatings,
    /// The section failed.
    Failed,
}

/// What the page says.
pub fn reviews(page: &str) -> Reviews {
    if page.contains("Error fetching product reviews") {
        Reviews::Failed
    } else if page.contains("Ratings service is currently unavailable") {
        Reviews::NoRatings
    } else if page.contains("text-black-500") {
        Reviews::BlackStars
    } else if page.contains("text-red-500") {
        Reviews::RedStars
    } else {
        Reviews::Starless
    }
}

/// Somebody who looks at the page.
pub struct Visitor {
    client: Client,
    cookie: Option<String>,
}

impl Visitor {
    /// Nobody in particular.
    pub fn anonymous(gateway: SocketAddr) -> Self {
        Self { client: Client::new(gateway), cookie: None }
    }

    /// Signs in through the form.
    pub async fn signed_in(gateway: SocketAddr, user: &str) -> Result<Self> {
        let mut client = Client::new(gateway);
        let answer = client.post_form("/login", &format!("username={user}&passwd=x")).await?;
        ensure!(answer.status == 302, "signing in was answered {}", answer.status);
        let cookie = answer.headers.get("set-cookie").context("no cookie")?.to_str()?;
        let cookie = cookie.split(';').next().context("an empty cookie")?.to_owned();
        Ok(Self { client, cookie: Some(cookie) })
    }

    /// Loads the page, which must be 200.
    pub async fn page(&mut self) -> Result<String> {
        let cookie = self.cookie.clone();
        let headers: Vec<(&str, &str)> = cookie.iter().map(|cookie| ("cookie", cookie.as_str())).collect();
        let answer = self.client.get("/productpage", &headers).await?;
        ensure!(answer.status == 200, "the page was answered {}: {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Loads the page and says which reviews it shows.
    pub async fn reviews(&mut self) -> Result<Reviews> {
        Ok(reviews(&self.page().await?))
    }
}

/// Loads `pages` pages over `visitors` connections and counts what they show.
pub async fn count(gateway: SocketAddr, pages: usize, visitors: usize) -> Result<BTreeMap<Reviews, usize>> {
    let mut tasks = tokio::task::JoinSet::new();
    for visitor in 0..visitors {
        let share = pages / visitors + usize::from(visitor < pages % visitors);
        tasks.spawn(async move {
            let mut visitor = Visitor::anonymous(gateway);
            let mut seen = Vec::with_capacity(share);
            for _ in 0..share {
                seen.push(visitor.reviews().await?);
            }
            anyhow::Ok(seen)
        });
    }
    let mut counts = BTreeMap::new();
    while let Some(seen) = tasks.join_next().await {
        for reviews in seen.context("a visitor")?? {
            *counts.entry(reviews).or_default() += 1;
        }
    }
    Ok(counts)
}
