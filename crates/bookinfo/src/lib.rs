//! The sample application: productpage, details, reviews, ratings.
