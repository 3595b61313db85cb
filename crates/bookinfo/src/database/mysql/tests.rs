//! Statements, and client and server against each other.

use super::client::{Account, ratings};
use super::server::Database;
use super::statement::{Column, Statement};
use super::{client, proof};
use crate::database::DatabaseError;
use crate::server;

#[test]
fn statements_are_understood_however_they_are_written() {
    for (text, meant) in [
        ("SELECT Rating FROM ratings", Some(Statement::Select(vec![Column::Rating]))),
        ("select * from test.ratings;", Some(Statement::Select(vec![Column::ReviewId, Column::Rating]))),
        (
            "select `rating`,ReviewID from `ratings`",
            Some(Statement::Select(vec![Column::Rating, Column::ReviewId])),
        ),
        ("UPDATE ratings SET Rating=1", Some(Statement::Update { rating: 1, review: None })),
        (
            "update ratings set Rating = 3 where ReviewID=2;",
            Some(Statement::Update { rating: 3, review: Some(2) }),
        ),
        ("SET AUTOCOMMIT = 0", Some(Statement::Session)),
        ("select from ratings", None),
        ("select price from ratings", None),
        ("drop table ratings", None),
        ("update ratings set Rating=many", None),
        ("", None),
    ] {
        assert_eq!(Statement::parse(text), meant, "{text:?}");
    }
}

#[test]
fn a_password_is_proven_as_mysql_does() {
    assert_eq!(proof("", &[1; 20]), Vec::<u8>::new());
    let (one, other) = (proof("password", &[1; 20]), proof("password", &[2; 20]));
    assert_eq!(one.len(), 20);
    assert_ne!(one, other);
}

#[tokio::test]
async fn the_client_reads_what_the_server_holds() {
    let address = server::spawn_session(Database::new("root", "password")).await;
    let account = Account { address, user: "root".to_owned(), password: "password".to_owned() };
    assert_eq!(ratings(&account).await.expect("ratings"), [5, 4]);
    let wrong = Account { password: "guess".to_owned(), ..account.clone() };
    let error = client::ratings(&wrong).await.expect_err("refused");
    assert!(matches!(&error, DatabaseError::Connect(words) if words.contains("Access denied")), "{error}");
}
