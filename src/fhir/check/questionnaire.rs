//! que-1 to que-13 and qrs-1: the invariants of questionnaires and of the answers to them.

use std::collections::HashSet;

use serde_json::Value;

use super::DEPTH_MAX;
use super::path::At;
use super::rules::{has, has_choice, list, require, text};
use super::walk::{Checker, Object};
use crate::fhir::outcome::IssueType;

pub(super) fn questionnaire<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let mut seen = HashSet::new();
    unique_links(checker, object, at, &mut seen, 0);
}

/// que-2. The walk has already bounded the depth of what it accepted; this one bounds itself.
fn unique_links<'v>(checker: &mut Checker<'v>, owner: &'v Object, at: &At, seen: &mut HashSet<&'v str>, depth: usize) {
    if depth >= DEPTH_MAX {
        return;
    }
    let field = at.field("item");
    for (position, item) in list(owner, "item").iter().enumerate() {
        let Value::Object(item) = item else { continue };
        let here = field.index(position);
        if let Some(link) = text(item, "linkId")
            && !seen.insert(link)
        {
            let rule = "que-2: Each linkId must be unique within the questionnaire.";
            checker.fault(IssueType::Invariant, &here.field("linkId"), rule);
        }
        unique_links(checker, item, &here, seen, depth + 1);
    }
}

pub(super) fn item<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let Some(kind) = text(object, "type") else {
        return;
    };
    let given = |name| has(object, name);
    let mut hold = |holds: bool, rule: &str| require(checker, holds, at, rule);
    let display = kind == "display";
    let group = kind == "group";
    hold(!group || given("item"), "que-1: A group must have items.");
    hold(!display || !given("item"), "que-1: A display item must not have items.");
    hold(!display || !given("code"), "que-3: A display item must not have a code.");
    let options = given("answerOption");
    hold(!options || !given("answerValueSet"), "que-4: A question must not have both answerOption and answerValueSet.");
    let closed = matches!(
        kind,
        "choice" | "open-choice" | "decimal" | "integer" | "date" | "dateTime" | "time" | "string" | "quantity"
    );
    hold(
        closed || (!options && !given("answerValueSet")),
        "que-5: An item of this type must not have answerOption or answerValueSet.",
    );
    hold(
        !display || (!given("required") && !given("repeats")),
        "que-6: required and repeats are not for display items.",
    );
    hold(!(display || group) || !given("initial"), "que-8: Groups and display items have no initial value.");
    hold(!display || !given("readOnly"), "que-9: readOnly is not for display items.");
    hold(
        matches!(kind, "boolean" | "decimal" | "integer" | "string" | "text" | "url" | "open-choice")
            || !given("maxLength"),
        "que-10: maxLength is only for simple types of question.",
    );
    hold(!options || !given("initial"), "que-11: With answerOption, initial must be missing.");
    hold(
        list(object, "enableWhen").len() <= 2 || given("enableBehavior"),
        "que-12: With several enableWhen, enableBehavior must be given.",
    );
    let repeats = object.get("repeats").and_then(Value::as_bool) == Some(true);
    hold(
        repeats || list(object, "initial").len() <= 1,
        "que-13: Several initial values are only for an item that repeats.",
    );
}

pub(super) fn enable_when<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let other =
        text(object, "operator") == Some("exists") && has_choice(object, "answer") && !has(object, "answerBoolean");
    require(checker, !other, at, "que-7: With the operator exists, the answer must be a boolean.");
}

pub(super) fn response_item<'v>(checker: &mut Checker<'v>, object: &'v Object, at: &At) {
    let both = has(object, "answer") && has(object, "item");
    require(checker, !both, at, "qrs-1: Nested items go beneath the item or beneath its answers, not both.");
}
