//! The sample application: a book's page put together from four services.
//!
//! `productpage` calls `details` and `reviews`; `reviews` v2 and v3 call
//! `ratings`.  Every service is this one small program under another name, and
//! behaves as Istio's bookinfo does, down to its two planted bugs: the page
//! tries reviews twice with 3 s each, and reviews allows ratings 10 s when its
//! stars are black and 2.5 s otherwise.
//!
//! The crate knows nothing of a mesh.  It reads its settings from the
//! environment ([`Settings::from_env`]), answers HTTP/1.1, and forwards the
//! trace headers of a request to the calls that the request causes.
//!
//! ```no_run
//! # async fn start() -> Result<(), bookinfo::Error> {
//! let settings = bookinfo::Settings::from_env();
//! bookinfo::serve(bookinfo::Service::Ratings, 9080, settings).await
//! # }
//! ```

mod client;
mod details;
mod forwarding;
mod metrics;
mod productpage;
mod ratings;
mod reviews;
mod server;
mod settings;

pub use server::Error;
pub use settings::Settings;

/// Which of the four services a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The page a person looks at.
    Productpage,
    /// Facts about the book.
    Details,
    /// Two reviews, with stars when the version asks ratings for them.
    Reviews,
    /// Stars per reviewer.
    Ratings,
}

impl Service {
    /// The names that [`Service::parse`] knows, in calling order.
    pub const NAMES: [&'static str; 4] = ["productpage", "details", "reviews", "ratings"];

    /// The service of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "productpage" => Some(Self::Productpage),
            "details" => Some(Self::Details),
            "reviews" => Some(Self::Reviews),
            "ratings" => Some(Self::Ratings),
            _ => None,
        }
    }
}

/// Serves until the process gets SIGTERM or SIGINT, then finishes what it has.
pub async fn serve(service: Service, port: u16, settings: Settings) -> Result<(), Error> {
    match service {
        Service::Productpage => server::run(port, productpage::Productpage::new(settings)).await,
        Service::Details => server::run(port, details::Details::new(settings)).await,
        Service::Reviews => server::run(port, reviews::Reviews::new(settings)).await,
        Service::Ratings => server::run(port, ratings::Ratings::new(settings)).await,
    }
}

#[cfg(test)]
mod tests;
