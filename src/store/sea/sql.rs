//! SQL text beside its bound values, for both databases. Values never become text.

use super::error::failed;
use crate::store::Result;
use sea_orm::{ConnectionTrait, DbBackend, ExecResult, QueryResult, Statement, Value};
use std::fmt::Write;

/// Between the two halves of a paired text (code and system); FHIR allows it in neither.
pub(super) const SEPARATOR: char = '\u{1f}';
/// The character after it: a half-open range of pairs with the same first half.
pub(super) const AFTER_SEPARATOR: &str = "\u{20}";

#[derive(Clone, Debug)]
pub(super) struct Sql {
    backend: DbBackend,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(super) fn new(backend: DbBackend, text: &str) -> Self {
        Sql { backend, text: text.to_owned(), values: Vec::new() }
    }

    pub(super) fn with_capacity(backend: DbBackend, bytes: usize, values: usize) -> Self {
        Sql { backend, text: String::with_capacity(bytes), values: Vec::with_capacity(values) }
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.backend == DbBackend::Postgres
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// A column that must not lead SQLite to an index: the plan has a better way in. SQLite keeps no
    /// statistics of ours and would guess; PostgreSQL keeps its own.
    pub(super) fn push_unindexed(&mut self, column: &str) -> &mut Self {
        if !self.is_postgres() {
            self.text.push('+');
        }
        self.push(column)
    }

    /// A placeholder and its value.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        if self.is_postgres() {
            let _ = write!(self.text, "${}", self.values.len());
        } else {
            self.text.push('?');
        }
        self
    }

    /// Another statement's text in place, its values behind ours.
    pub(super) fn nest(&mut self, other: &Sql) -> &mut Self {
        let mut rest = other.text.as_str();
        for value in &other.values {
            let Some(at) = rest.find(if self.is_postgres() { '$' } else { '?' }) else { break };
            self.push(&rest[..at]);
            self.bind(value.clone());
            rest = rest[at + 1..].trim_start_matches(|c: char| c.is_ascii_digit());
        }
        self.push(rest)
    }

    /// `(?, ?, …)`, padded to a power of two by repeating the last: few statements to prepare.
    pub(super) fn bind_list<V: Into<Value> + Clone>(&mut self, values: &[V]) -> &mut Self {
        self.push("(");
        for place in 0..values.len().next_power_of_two().max(1) {
            if place > 0 {
                self.push(", ");
            }
            match values.get(place).or(values.last()) {
                Some(value) => self.bind(value.clone()),
                None => self.push("NULL"),
            };
        }
        self.push(")")
    }

    /// The statement; nothing is left behind.
    fn take(&mut self) -> Statement {
        Statement::from_sql_and_values(self.backend, std::mem::take(&mut self.text), std::mem::take(&mut self.values))
    }

    pub(super) async fn execute<C: ConnectionTrait>(&mut self, db: &C) -> Result<ExecResult> {
        db.execute_raw(self.take()).await.map_err(failed)
    }

    pub(super) async fn all<C: ConnectionTrait>(&mut self, db: &C) -> Result<Vec<QueryResult>> {
        db.query_all_raw(self.take()).await.map_err(failed)
    }

    pub(super) async fn one<C: ConnectionTrait>(&mut self, db: &C) -> Result<Option<QueryResult>> {
        db.query_one_raw(self.take()).await.map_err(failed)
    }
}

/// Splits `length` rows into chunks of few different sizes, so that few statements are ever prepared: powers of two,
/// and whatever is small.
pub(super) fn chunks(length: usize, largest: usize) -> impl Iterator<Item = usize> {
    const SMALL: usize = 16;
    let mut left = length;
    std::iter::from_fn(move || {
        let size = match left {
            _ if left >= largest => largest,
            ..=SMALL => left,
            _ => 1 << left.ilog2(),
        };
        left -= size;
        (size > 0).then_some(size)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_add_up() {
        assert_eq!(chunks(100, 64).collect::<Vec<_>>(), [64, 32, 4]);
        assert_eq!(chunks(0, 64).count(), 0);
        assert_eq!(chunks(141, 64).collect::<Vec<_>>(), [64, 64, 13]);
        assert_eq!(chunks(3, 64).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn nesting_renumbers() {
        let mut inner = Sql::new(DbBackend::Postgres, "b = ");
        inner.bind(2).push(" and c = ").bind(3);
        let mut outer = Sql::new(DbBackend::Postgres, "a = ");
        outer.bind(1).push(" and (").nest(&inner).push(")");
        assert_eq!(outer.text, "a = $1 and (b = $2 and c = $3)");
        assert_eq!(outer.values.len(), 3);
    }
}
