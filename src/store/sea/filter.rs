//! One search filter as a condition on `resource r`.
//!
//! Dates are half-open intervals: the resource's [lo, hi), the question's [from, to). FHIR's prefixes, on them:
//!
//! | prefix | matches when | |
//! | --- | --- | --- |
//! | eq | from <= lo and hi <= to | the question contains the resource |
//! | ne | not eq | |
//! | gt | hi > to | the resource reaches beyond the question |
//! | lt | lo < from | |
//! | ge | gt or eq | |
//! | le | lt or eq | |
//! | sa | lo >= to | begins after it |
//! | eb | hi <= from | ends before it |
//! | ap | lo < to and from < hi | they overlap; the border has widened the question |
//!
//! Numbers are points, the question [low, high) the range that its last digit implies, or one number twice. eq, ne
//! and ap go by the range; for the others FHIR has the precision ignored, so that they go by its middle.

use super::fold::{bounded, fold};
use super::index::{interval, reference, token};
use super::layout::{NO_DATE, Place, kind_code, pair, param_code, param_codes, place};
use super::search::{plan, rows};
use super::sql::{AFTER_SEPARATOR, SEPARATOR, Sql};
use crate::store::{Filter, Kind, Match, Prefix, Query};

/// Columns that lead the plan: SQLite may use an index on these alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Leads {
    pub(super) id: bool,
    pub(super) status: bool,
    pub(super) date: bool,
    pub(super) updated: bool,
}

const NOTHING: &str = "1 = 0";

/// The condition that the filter's own row must meet.
pub(super) fn condition(sql: &mut Sql, kind: Kind, filter: &Filter, leads: Leads) {
    sql.push("(");
    for (number, wanted) in filter.any.iter().enumerate() {
        sql.push(if number == 0 { "(" } else { " OR (" });
        one(sql, kind, filter.param, wanted, leads);
        sql.push(")");
    }
    if filter.any.is_empty() {
        sql.push(NOTHING);
    }
    sql.push(if filter.not { ") IS NOT TRUE" } else { ")" });
}

fn one(sql: &mut Sql, kind: Kind, param: &str, wanted: &Match, leads: Leads) {
    match (param, place(kind, param), wanted) {
        ("_id", _, Match::Id(id)) => {
            column(sql, "r.id", leads.id).push(" = ").bind(id.as_str());
        }
        ("_lastUpdated", _, Match::Date { prefix, from, to }) => {
            let dates = Dates { lo: "r.updated", hi: "r.updated + 1", indexed: leads.updated, length: Length::One };
            dates.condition(sql, *prefix, (*from, *to));
        }
        ("_id" | "_lastUpdated", _, Match::Missing(missing)) => {
            sql.push(if *missing { NOTHING } else { "1 = 1" });
        }
        (_, _, Match::Has { param, query }) => referred_to(sql, kind, param, query),
        (_, Place::Client(bit), Match::Chain(query)) => {
            if query.kind == CLIENTS {
                sql.push("(r.held & ").bind(bit).push(") <> 0 AND ").push_unindexed("r.client").push(" IN (");
                sql.push("SELECT r.id");
                rows_behind(sql, query);
                sql.push(") OR ");
            }
            exists(sql, kind, param, wanted);
        }
        (_, Place::Status, Match::Token { code: Some(code), .. }) => {
            column(sql, "r.status", leads.status).push(" = ").bind(bounded(code));
        }
        (_, Place::Status, Match::Token { code: None, .. }) => {
            sql.push("r.status IS NOT NULL");
        }
        (_, Place::Status, Match::Missing(missing)) => {
            sql.push(if *missing { "r.status IS NULL" } else { "r.status IS NOT NULL" });
        }
        (_, Place::Date, Match::Date { prefix, from, to }) => {
            let length = if leads.date { Length::Longest(kind_code(kind)) } else { Length::Unknown };
            let dates = Dates { lo: "r.date_from", hi: "r.date_to", indexed: leads.date, length };
            sql.push_unindexed("r.date_from").push(" > ").bind(NO_DATE).push(" AND ");
            dates.condition(sql, *prefix, (*from, *to));
        }
        (_, Place::Date, Match::Missing(missing)) => {
            sql.push_unindexed("r.date_from").push(if *missing { " = " } else { " > " }).bind(NO_DATE);
        }
        (_, Place::Client(bit), Match::Reference(_) | Match::ReferenceId(_)) => {
            if let Some(client) = client_of(wanted) {
                sql.push_unindexed("r.client").push(" = ").bind(client);
                sql.push(" AND (r.held & ").bind(bit).push(") <> 0 OR ");
            }
            exists(sql, kind, param, wanted);
        }
        (_, Place::Client(bit), Match::Missing(missing)) => {
            sql.push(if *missing { "NOT (" } else { "(" });
            sql.push("(r.held & ").bind(bit).push(") <> 0 OR ");
            exists(sql, kind, param, &Match::Missing(false));
            sql.push(")");
        }
        (_, Place::Status | Place::Date, _) => {
            sql.push(NOTHING);
        }
        (_, _, Match::Missing(true)) => {
            sql.push("NOT ");
            exists(sql, kind, param, &Match::Missing(false));
        }
        _ => exists(sql, kind, param, wanted),
    }
}

/// The type that a compartment belongs to.
const CLIENTS: Kind = "Patient";

/// ` FROM … WHERE …` of a query inside another. It names its own row `r` too, and sees nothing of the outer one.
fn rows_behind(sql: &mut Sql, query: &Query) {
    rows(sql, query, plan(query));
}

/// `_has`: some resource of `query` refers to `r` by its parameter `param`.
fn referred_to(sql: &mut Sql, kind: Kind, param: &str, query: &Query) {
    if let (CLIENTS, Place::Client(bit)) = (kind, place(query.kind, param)) {
        sql.push_unindexed("r.id").push(" IN (SELECT r.client");
        rows_behind(sql, query);
        sql.push(" AND r.client IS NOT NULL AND (r.held & ").bind(bit).push(") <> 0) OR ");
    }
    sql.push("r.id || ").bind(format!("{SEPARATOR}{kind}")).push(" IN (SELECT t.text FROM term t WHERE t.param = ");
    sql.bind(param_code(query.kind, param)).push(" AND t.rid IN (SELECT r.rid");
    rows_behind(sql, query);
    sql.push("))");
}

/// The client that this reference names, if it can name one.
fn client_of(wanted: &Match) -> Option<&str> {
    match wanted {
        Match::Reference(text) => text.strip_prefix("Patient/"),
        Match::ReferenceId(id) => Some(id),
        _ => None,
    }
}

fn exists(sql: &mut Sql, kind: Kind, param: &str, wanted: &Match) {
    sql.push("EXISTS (SELECT 1 FROM term t WHERE t.rid = r.rid AND ");
    param_condition(sql, kind, param);
    sql.push(" AND ");
    term_condition(sql, wanted, false);
    sql.push(")");
}

/// On `term t`: it answers for this parameter.
pub(super) fn param_condition(sql: &mut Sql, kind: Kind, param: &str) {
    match param_codes(kind, param).as_slice() {
        [one] => sql.push("t.param = ").bind(*one),
        all => sql.push("t.param IN ").bind_list(all),
    };
}

/// `r.rid IN (…)`: the rows that a filter on terms, or on the client, starts from.
pub(super) fn rows_of(sql: &mut Sql, kind: Kind, filter: &Filter) {
    sql.push("r.rid IN (");
    for (number, wanted) in filter.any.iter().enumerate() {
        sql.push(if number == 0 { "" } else { " UNION ALL " });
        if let (Place::Client(bit), Some(client)) = (place(kind, filter.param), client_of(wanted)) {
            sql.push("SELECT c.rid FROM resource c WHERE c.client = ").bind(client);
            sql.push(" AND c.kind = ").bind(kind_code(kind));
            sql.push(" AND (c.held & ").bind(bit).push(") <> 0 UNION ALL ");
        }
        if let (Place::Client(bit), Match::Chain(query)) = (place(kind, filter.param), wanted)
            && query.kind == CLIENTS
        {
            sql.push("SELECT c.rid FROM resource c WHERE c.client IN (SELECT r.id");
            rows_behind(sql, query);
            sql.push(") AND c.kind = ").bind(kind_code(kind));
            sql.push(" AND (c.held & ").bind(bit).push(") <> 0 UNION ALL ");
        }
        sql.push("SELECT t.rid FROM term t WHERE ");
        param_condition(sql, kind, filter.param);
        sql.push(" AND ");
        term_condition(sql, wanted, true);
    }
    sql.push(")");
}

/// Whether the filter can lead by `rows_of`.
pub(super) fn has_rows(kind: Kind, filter: &Filter) -> bool {
    let of_terms = matches!(place(kind, filter.param), Place::Term | Place::Client(_) | Place::Shared(_));
    let own = matches!(filter.param, "_id" | "_lastUpdated");
    of_terms && !own && !filter.not && !filter.any.is_empty() && filter.any.iter().all(has_range)
}

fn has_range(wanted: &Match) -> bool {
    match wanted {
        Match::Token { code, .. } => code.is_some(),
        Match::Missing(_) | Match::Id(_) | Match::Has { .. } => false,
        Match::Number { prefix, .. } | Match::Quantity { prefix, .. } | Match::Date { prefix, .. } => {
            *prefix != Prefix::Ne
        }
        _ => true,
    }
}

/// The one text that the filter's term must equal, if it is that simple: such terms are in the order of their rows.
pub(super) fn exact(kind: Kind, filter: &Filter) -> Option<String> {
    match (filter.not, place(kind, filter.param), filter.any.as_slice()) {
        (false, Place::Term, [Match::Token { system: Some(system), code: Some(code) }]) => {
            Some(token(Some(system), code))
        }
        (false, Place::Term, [Match::Reference(text)]) => Some(reference(text)),
        (false, Place::Term, [Match::Uri(uri)]) => Some(bounded(uri)),
        _ => None,
    }
}

/// The range of texts that the filter's one code has in any system, if that is what it asks for.
pub(super) fn any_system(kind: Kind, filter: &Filter) -> Option<(String, String)> {
    match (filter.not, place(kind, filter.param), filter.any.as_slice()) {
        (false, Place::Term, [Match::Token { system: None, code: Some(code) }]) => Some(first_half(code)),
        _ => None,
    }
}

fn column<'a>(sql: &'a mut Sql, name: &str, indexed: bool) -> &'a mut Sql {
    if indexed { sql.push(name) } else { sql.push_unindexed(name) }
}

/// On `term t`, whose parameter is right already.
fn term_condition(sql: &mut Sql, wanted: &Match, indexed: bool) {
    match wanted {
        Match::Token { system, code } => {
            token_condition(sql, "t.text", indexed, system.as_deref(), code.as_deref());
        }
        Match::Reference(text) => {
            sql.push("t.text = ").bind(reference(text));
        }
        Match::ReferenceId(id) => {
            let (low, high) = first_half(id);
            range(sql, "t.text", indexed, &low, &high);
        }
        Match::Uri(uri) => {
            sql.push("t.text = ").bind(bounded(uri));
        }
        Match::UriBelow(uri) => {
            let uri = bounded(uri.trim_end_matches('/'));
            // "0" follows "/".
            sql.push("(").push_unindexed("t.text").push(" = ").bind(uri.as_str()).push(" OR ");
            range(sql, "t.text", false, &format!("{uri}/"), &format!("{uri}0"));
            sql.push(")");
            if indexed {
                sql.push(" AND ");
                range(sql, "t.text", true, &uri, &format!("{uri}0"));
            }
        }
        Match::TextStarts(text) => {
            let text = fold(text);
            range(sql, "t.text", indexed, &text, &format!("{text}\u{10ffff}"));
        }
        Match::TextContains(text) => {
            let function = if sql.is_postgres() { "strpos" } else { "instr" };
            sql.push(function).push("(t.text, ").bind(fold(text)).push(") > 0 AND t.text IS NOT NULL");
        }
        Match::TextExact(text) => {
            sql.push("t.text = ").bind(fold(text)).push(" AND COALESCE(t.raw, t.text) = ").bind(bounded(text));
        }
        Match::Date { prefix, from, to } => {
            let dates = Dates { lo: "t.lo", hi: "t.hi", indexed, length: Length::Unknown };
            dates.condition(sql, *prefix, (*from, *to));
        }
        Match::Number { prefix, low, high } => number(sql, *prefix, *low, *high, indexed),
        Match::Quantity { prefix, low, high, system, code } => {
            number(sql, *prefix, *low, *high, indexed);
            if system.is_some() || code.is_some() {
                sql.push(" AND ");
                token_condition(sql, "t.raw", false, system.as_deref(), code.as_deref());
            }
        }
        Match::Missing(false) => {
            sql.push("1 = 1");
        }
        Match::Chain(query) => {
            sql.push("t.text IN (SELECT r.id || ").bind(format!("{SEPARATOR}{}", query.kind));
            rows_behind(sql, query);
            sql.push(")");
        }
        Match::Pair { system, code, value } => {
            token_condition(sql, "t.text", indexed, system.as_deref(), Some(code));
            sql.push(" AND ");
            match value.as_ref() {
                Match::Token { system, code } => {
                    token_condition(sql, "t.raw", false, system.as_deref(), code.as_deref());
                }
                Match::TextStarts(text) => {
                    let text = fold(text);
                    range(sql, "t.raw", false, &text, &format!("{text}\u{10ffff}"));
                }
                Match::Date { .. } | Match::Number { .. } | Match::Quantity { .. } => {
                    term_condition(sql, value, false);
                }
                _ => {
                    sql.push(NOTHING);
                }
            }
        }
        Match::Missing(true) | Match::Id(_) | Match::Has { .. } => {
            sql.push(NOTHING);
        }
    }
}

fn token_condition(sql: &mut Sql, name: &str, indexed: bool, system: Option<&str>, code: Option<&str>) {
    match (system, code) {
        (Some(_), Some(code)) => {
            // An equal text of a given row is found at once by the index of texts, a range of them is not.
            column(sql, name, indexed || name == "t.text").push(" = ").bind(token(system, code));
        }
        (None, Some(code)) => {
            let (low, high) = first_half(code);
            range(sql, name, indexed, &low, &high);
        }
        (Some(system), None) => {
            let function = if sql.is_postgres() { "strpos" } else { "instr" };
            sql.push(function).push("(").push(name).push(" || ").bind(SEPARATOR.to_string()).push(", ");
            sql.bind(format!("{SEPARATOR}{system}{SEPARATOR}")).push(") > 0");
        }
        (None, None) => {
            sql.push(name).push(" IS NOT NULL");
        }
    }
}

/// Bounds of the pairs that begin with this, whatever the second half.
fn first_half(first: &str) -> (String, String) {
    let low = pair(first, "");
    let high = low.replace(SEPARATOR, AFTER_SEPARATOR);
    (low, high)
}

/// `low <= column < high`, bytewise.
fn range(sql: &mut Sql, name: &str, indexed: bool, low: &str, high: &str) {
    column(sql, name, indexed).push(" >= ").bind(low).push(" AND ");
    column(sql, name, indexed).push(" < ").bind(high);
}

fn number(sql: &mut Sql, prefix: Prefix, low: f64, high: f64, indexed: bool) {
    let name = "t.num";
    // The middle is reckoned, and may be off in its last bit.
    let (middle, slack) = (low / 2.0 + high / 2.0, (high - low) * 1e-6);
    let (operator, bound) = match prefix {
        Prefix::Gt | Prefix::Sa => (" > ", middle + slack),
        Prefix::Lt | Prefix::Eb => (" < ", middle - slack),
        Prefix::Ge => (" >= ", middle - slack),
        Prefix::Le => (" <= ", middle + slack),
        Prefix::Eq | Prefix::Ap => {
            column(sql, name, indexed).push(" >= ").bind(low).push(" AND ");
            (if low < high { " < " } else { " <= " }, high)
        }
        Prefix::Ne => {
            sql.push("(").push_unindexed(name).push(" < ").bind(low).push(" OR ").push_unindexed(name);
            sql.push(if low < high { " >= " } else { " > " }).bind(high).push(")");
            return;
        }
    };
    column(sql, name, indexed).push(operator).bind(bound);
}

/// What is known of how long the intervals of a column can be: with it, a bound on their ends is one on their
/// beginnings, which the index is sorted by.
#[derive(Clone, Copy, Debug)]
enum Length {
    Unknown,
    One,
    /// As table `span` has it for this type.
    Longest(i16),
}

#[derive(Clone, Copy, Debug)]
struct Dates<'a> {
    lo: &'a str,
    hi: &'a str,
    indexed: bool,
    length: Length,
}

impl Dates<'_> {
    fn condition(self, sql: &mut Sql, prefix: Prefix, question: (i64, i64)) {
        let (from, to) = interval(question.0, question.1);
        match prefix {
            Prefix::Eq => {
                self.lo(sql, " >= ", from).push(" AND ");
                self.lo(sql, " < ", to).push(" AND ");
                self.hi(sql, " <= ", to);
            }
            Prefix::Ne => {
                sql.push("(");
                self.plain(sql, " < ", from).push(" OR ");
                self.hi(sql, " > ", to).push(")");
            }
            Prefix::Gt => {
                self.after(sql, to);
                self.hi(sql, " > ", to);
            }
            Prefix::Lt => {
                self.lo(sql, " < ", from);
            }
            Prefix::Ge => {
                self.after(sql, from);
                sql.push("(");
                self.hi(sql, " > ", to).push(" OR ");
                self.plain(sql, " >= ", from).push(" AND ");
                self.hi(sql, " <= ", to).push(")");
            }
            Prefix::Le => {
                self.lo(sql, " < ", to).push(" AND (");
                self.plain(sql, " < ", from).push(" OR ");
                self.hi(sql, " <= ", to).push(")");
            }
            Prefix::Sa => {
                self.lo(sql, " >= ", to);
            }
            Prefix::Eb => {
                self.lo(sql, " < ", from).push(" AND ");
                self.hi(sql, " <= ", from);
            }
            Prefix::Ap => {
                self.after(sql, from);
                self.lo(sql, " < ", to).push(" AND ");
                self.hi(sql, " > ", from);
            }
        }
    }

    fn lo<'a>(&self, sql: &'a mut Sql, operator: &str, bound: i64) -> &'a mut Sql {
        column(sql, self.lo, self.indexed).push(operator).bind(bound)
    }

    /// The beginning again, where an index would be led astray by it.
    fn plain<'a>(&self, sql: &'a mut Sql, operator: &str, bound: i64) -> &'a mut Sql {
        sql.push_unindexed(self.lo).push(operator).bind(bound)
    }

    fn hi<'a>(&self, sql: &'a mut Sql, operator: &str, bound: i64) -> &'a mut Sql {
        sql.push(self.hi).push(operator).bind(bound)
    }

    /// What ends after `bound` cannot begin longer before it than the longest lasts.
    fn after(&self, sql: &mut Sql, bound: i64) {
        match self.length {
            Length::Unknown => {}
            Length::One => {
                self.lo(sql, " >= ", bound).push(" AND ");
            }
            Length::Longest(kind) => {
                self.lo(sql, " >= ", bound);
                sql.push(" - (SELECT longest FROM span WHERE kind = ").bind(kind).push(") AND ");
            }
        }
    }
}
