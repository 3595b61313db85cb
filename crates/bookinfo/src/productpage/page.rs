//! The HTML: an introduction, and the book's page.

use std::fmt::Write as _;

use http::StatusCode;
use serde_json::Value;

use super::Fetched;
use crate::Settings;

/// What the book's page shows.
pub(crate) struct Product<'a> {
    pub(crate) title: &'a str,
    /// HTML.
    pub(crate) summary: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) details: Fetched,
    pub(crate) reviews: Fetched,
}

/// The introduction, with the services and where they are.
pub(crate) fn index(settings: &Settings) -> String {
    let rows = [
        ("productpage", settings.details.as_str(), "details, reviews"),
        ("details", settings.details.as_str(), ""),
        ("reviews", settings.reviews.as_str(), "ratings"),
        ("ratings", settings.ratings.as_str(), ""),
    ];
    let mut table = String::new();
    for (name, endpoint, children) in rows {
        let _ = write!(
            table,
            "<tr><th scope=\"row\">{name}</th><td><code>http://{}</code></td><td>{children}</td></tr>",
            escape(endpoint)
        );
    }
    let body = format!(
        "<main class=\"intro\"><h1>Hello! This is a simple bookstore application</h1>\
         <p>It consists of these services:</p>\
         <table class=\"facts services\"><thead><tr><th>Name</th><th>Endpoint</th><th>Calls</th></tr></thead>\
         <tbody>{table}</tbody></table>\
         <p class=\"links\"><a href=\"/productpage?u=normal\">Normal user</a>\
         <a href=\"/productpage?u=test\">Test user</a></p></main>"
    );
    document(None, &body)
}

/// The book's page.
pub(crate) fn product(product: Product<'_>) -> String {
    let body = format!(
        "<main><header class=\"book\"><h1>{title}</h1><p>{summary}</p></header>\
         <div class=\"columns\"><section id=\"details\">{details}</section>\
         <section id=\"reviews\">{reviews}</section></div></main>",
        title = escape(product.title),
        summary = product.summary,
        details = details(&product.details),
        reviews = reviews(&product.reviews),
    );
    document(Some(product.user), &body)
}

fn document(user: Option<Option<&str>>, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Simple Bookstore App</title>\
         <link rel=\"stylesheet\" href=\"/static/bookinfo.css\"></head>\n\
         <body><nav><a class=\"brand\" href=\"/productpage\">BookInfo Sample</a>{}</nav>\n{body}\n</body>\n</html>\n",
        user.map(account).unwrap_or_default()
    )
}

fn account(user: Option<&str>) -> String {
    match user {
        Some(user) => format!(
            "<span class=\"account\"><span class=\"user\">{}</span> <a id=\"sign-out\" href=\"/logout\">Sign out</a></span>",
            escape(user)
        ),
        None => SIGN_IN.to_owned(),
    }
}

const SIGN_IN: &str = "<button id=\"sign-in-button\" class=\"primary\" popovertarget=\"login\">Sign in</button>\
     <div id=\"login\" popover><form action=\"/login\" method=\"post\"><h2>Please sign in</h2>\
     <label>User name<input id=\"username\" name=\"username\" autocomplete=\"username\" autofocus required></label>\
     <label>Password<input id=\"passwd\" name=\"passwd\" type=\"password\" autocomplete=\"current-password\"></label>\
     <div class=\"actions\"><button type=\"submit\" class=\"primary\">Sign in</button>\
     <button type=\"button\" popovertarget=\"login\" popovertargetaction=\"hide\">Cancel</button></div></form></div>";

fn details(fetched: &Fetched) -> String {
    if fetched.status != StatusCode::OK {
        return failure("Error fetching product details", &fetched.body);
    }
    let mut rows = String::new();
    for (label, field) in [
        ("ISBN-10", "ISBN-10"),
        ("Publisher", "publisher"),
        ("Pages", "pages"),
        ("Type", "type"),
        ("Language", "language"),
    ] {
        let _ =
            write!(rows, "<tr><th scope=\"row\">{label}</th><td>{}</td></tr>", text(&fetched.body[field]));
    }
    format!("<h2>Book Details</h2><table class=\"facts\"><tbody>{rows}</tbody></table>")
}

fn reviews(fetched: &Fetched) -> String {
    if fetched.status != StatusCode::OK {
        return failure("Error fetching product reviews", &fetched.body);
    }
    let body = &fetched.body;
    let mut html = String::from("<h2>Book Reviews</h2>");
    for review in body["reviews"].as_array().into_iter().flatten() {
        let _ = write!(
            html,
            "<figure class=\"review\">{}<blockquote>{}</blockquote><figcaption>{}</figcaption></figure>",
            rating(&review["rating"]),
            text(&review["text"]),
            text(&review["reviewer"]),
        );
    }
    let _ = write!(html, "<p class=\"served\">Reviews served by: <code>{}</code>", text(&body["podname"]));
    if let Some(cluster) = body["clustername"].as_str().filter(|name| *name != "null") {
        let _ = write!(html, " on cluster <code>{}</code>", escape(cluster));
    }
    html.push_str("</p>");
    html
}

fn rating(rating: &Value) -> String {
    if let Some(error) = rating["error"].as_str() {
        return format!("<p class=\"rating-error\">{}</p>", escape(error));
    }
    let Some(stars) = rating["stars"].as_i64() else {
        return String::new();
    };
    let color: String =
        rating["color"].as_str().unwrap_or("black").chars().filter(char::is_ascii_alphanumeric).collect();
    let mut html = format!("<p class=\"stars\" role=\"img\" aria-label=\"{stars} of 5 stars\">");
    for star in 1..=5 {
        let (class, glyph) = if star <= stars { ("full", '★') } else { ("empty", '☆') };
        let _ = write!(html, "<span class=\"star {class} text-{color}-500\">{glyph}</span>");
    }
    html.push_str("</p>");
    html
}

fn failure(title: &str, body: &Value) -> String {
    format!("<div class=\"failure\" role=\"alert\"><h2>{title}!</h2><p>{}</p></div>", text(&body["error"]))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text),
        Value::Null => String::new(),
        other => escape(&other.to_string()),
    }
}

/// `text` with the five characters that HTML gives a meaning written out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
