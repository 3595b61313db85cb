//! The statements that the table understands.

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    ReviewId,
    Rating,
}

impl Column {
    const ALL: [Column; 2] = [Column::ReviewId, Column::Rating];

    pub(super) fn name(self) -> &'static str {
        match self {
            Column::ReviewId => "ReviewID",
            Column::Rating => "Rating",
        }
    }

    fn parse(text: &str) -> Option<Column> {
        Self::ALL.into_iter().find(|column| column.name().eq_ignore_ascii_case(text.trim_matches('`')))
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// `SELECT Rating FROM ratings`, with any of the columns or `*`.
    Select(Vec<Column>),
    /// `UPDATE ratings SET Rating=1`, with or without `WHERE ReviewID=2`.
    Update { rating: i64, review: Option<i64> },
    /// What a session sets for itself, and transactions: nothing to do.
    Session,
}

impl Statement {
    /// The statement, unless the table does not understand it.
    pub(super) fn parse(text: &str) -> Option<Statement> {
        let spaced = text.trim().trim_end_matches(';').replace('=', " = ").replace(',', " , ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        match lower[..] {
            ["select", ref columns @ .., "from", table] if is_ratings(table) => {
                columns_of(columns).map(Statement::Select)
            }
            ["update", table, "set", "rating", "=", rating] if is_ratings(table) => {
                Some(Statement::Update { rating: rating.parse().ok()?, review: None })
            }
            ["update", table, "set", "rating", "=", rating, "where", "reviewid", "=", review]
                if is_ratings(table) =>
            {
                Some(Statement::Update { rating: rating.parse().ok()?, review: Some(review.parse().ok()?) })
            }
            ["set" | "use" | "begin" | "commit" | "rollback", ..] => Some(Statement::Session),
            _ => None,
        }
    }
}

fn is_ratings(table: &str) -> bool {
    matches!(table.replace('`', "").as_str(), "ratings" | "test.ratings")
}

fn columns_of(words: &[&str]) -> Option<Vec<Column>> {
    match words {
        ["*"] => Some(Column::ALL.to_vec()),
        words => words.split(|word| *word == ",").map(|one| Column::parse(one.first()?)).collect(),
    }
}
