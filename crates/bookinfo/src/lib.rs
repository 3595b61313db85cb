//! The sample application: a book's page put together from four services.
//!
//! `productpage` calls `details` and `reviews`; `reviews` v2 and v3 call
//! `ratings`.  Every service is this one small program under another name, and
//! behaves as Istio's bookinfo does, down to its two planted bugs: the page
//! tries reviews twice with 3 s each, and reviews allows ratings 10 s when its
//! stars are black and 2.5 s otherwise.
//!
//! Beside them stand the two databases that ratings v2 may ask, with the two
//! rows that the sample needs.
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
mod database;
mod details;
mod forwarding;
mod metrics;
mod productpage;
mod ratings;
mod reviews;
mod server;
mod settings;
mod tls;

use database::mysql::client::Account;

pub use server::Error;
pub use settings::Settings;

/// Which of the services a process is.
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
    /// Where ratings v2 may keep its stars: a MySQL server.
    Mysqldb,
    /// Where ratings v2 may keep its stars: a MongoDB server.
    Mongodb,
}

impl Service {
    /// The names that [`Service::parse`] knows, in calling order.
    pub const NAMES: [&'static str; 6] =
        ["productpage", "details", "reviews", "ratings", "mysqldb", "mongodb"];

    /// The service of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "productpage" => Some(Self::Productpage),
            "details" => Some(Self::Details),
            "reviews" => Some(Self::Reviews),
            "ratings" => Some(Self::Ratings),
            "mysqldb" => Some(Self::Mysqldb),
            "mongodb" => Some(Self::Mongodb),
            _ => None,
        }
    }

    /// The port that it listens on unless told otherwise.
    pub fn port(self) -> u16 {
        match self {
            Self::Mysqldb => 3306,
            Self::Mongodb => 27017,
            Self::Productpage | Self::Details | Self::Reviews | Self::Ratings => 9080,
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
        Service::Mysqldb => {
            let Account { user, password, .. } = settings.mysql;
            server::run_sessions(port, database::mysql::server::Database::new(&user, &password)).await
        }
        Service::Mongodb => server::run_sessions(port, database::mongo::server::Database).await,
    }
}

#[cfg(test)]
mod tests;
