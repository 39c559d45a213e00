//! Our own conformance resources, compiled in: served under `/fhir/CodeSystem/flag` and the like, and written
//! out by `tautline conformance`. The files are in `conformance/` and `profiles/`, one a resource.

use serde_json::Value;

/// One conformance resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Resource type.
    pub kind: &'static str,
    /// Logical id; the canonical URL is `https://tautline.example/fhir/{kind}/{id}`.
    pub id: &'static str,
    /// The whole resource, without `meta`.
    pub json: &'static str,
}

macro_rules! artefact {
    ($kind:literal, $id:literal) => {
        artefact!("conformance", $kind, $id)
    };
    ($folder:literal, $kind:literal, $id:literal) => {
        Artefact { kind: $kind, id: $id, json: include_str!(concat!("../../", $folder, "/", $kind, "/", $id, ".json")) }
    };
}

/// All of them, by kind, then id.
pub const ALL: &[Artefact] = &[
    artefact!("CodeSystem", "band"),
    artefact!("CodeSystem", "component"),
    artefact!("CodeSystem", "flag-closing"),
    artefact!("CodeSystem", "flag-reason"),
    artefact!("CodeSystem", "flag"),
    artefact!("CodeSystem", "homework-output"),
    artefact!("CodeSystem", "judgement"),
    artefact!("profiles", "CodeSystem", "k10-answer"),
    artefact!("CodeSystem", "method"),
    artefact!("CodeSystem", "pattern"),
    artefact!("profiles", "CodeSystem", "pcl-5-answer"),
    artefact!("CodeSystem", "signal"),
    artefact!("OperationDefinition", "detect-rupture"),
    artefact!("OperationDefinition", "import"),
    artefact!("SearchParameter", "flag-category"),
    artefact!("SearchParameter", "flag-code"),
    artefact!("SearchParameter", "flag-status"),
    artefact!("StructureDefinition", "answer-seen"),
    artefact!("StructureDefinition", "assessed-for"),
    artefact!("StructureDefinition", "completion-seconds"),
    artefact!("StructureDefinition", "finding-flag"),
    artefact!("StructureDefinition", "finding-provenance"),
    artefact!("StructureDefinition", "flag-closing"),
    artefact!("StructureDefinition", "flag-judgement"),
    artefact!("StructureDefinition", "flag-reason"),
    artefact!("StructureDefinition", "homework"),
    artefact!("StructureDefinition", "judgement"),
    artefact!("StructureDefinition", "measure-request"),
    artefact!("StructureDefinition", "measure-response"),
    artefact!("profiles", "StructureDefinition", "measure-scoring"),
    artefact!("StructureDefinition", "pattern"),
    artefact!("StructureDefinition", "sent-last-updated"),
    artefact!("StructureDefinition", "session"),
    artefact!("StructureDefinition", "signal"),
    artefact!("StructureDefinition", "superseded"),
    artefact!("ValueSet", "band"),
    artefact!("ValueSet", "component"),
    artefact!("ValueSet", "finding"),
    artefact!("ValueSet", "flag-closing"),
    artefact!("ValueSet", "flag-reason"),
    artefact!("ValueSet", "flag"),
    artefact!("ValueSet", "homework-output"),
    artefact!("ValueSet", "judgement-code"),
    artefact!("ValueSet", "judgement"),
    artefact!("ValueSet", "method"),
    artefact!("ValueSet", "pattern"),
    artefact!("ValueSet", "signal"),
];

pub fn find(kind: &str, id: &str) -> Option<&'static Artefact> {
    ALL.iter().find(|artefact| artefact.kind == kind && artefact.id == id)
}

/// What they are searched by, and the types of these parameters.
pub const PARAMETERS: &[(&str, &str)] = &[("_id", "token"), ("name", "string"), ("url", "uri")];

/// Their types, each once, sorted.
#[must_use]
pub fn kinds() -> std::collections::BTreeSet<&'static str> {
    ALL.iter().map(|artefact| artefact.kind).collect()
}

/// Those of one kind, in order of their ids.
pub fn of_kind(kind: &str) -> impl Iterator<Item = &'static Artefact> {
    ALL.iter().filter(move |artefact| artefact.kind == kind)
}

/// System and code of everything in a ValueSet of ours, by its URL. They are composed of our own code systems: an
/// include or exclude names a system, and codes of it or all.
#[must_use]
pub fn expansion(url: &str) -> Option<Vec<(String, String)>> {
    let parsed = |artefact: &Artefact| serde_json::from_str::<Value>(artefact.json).ok();
    let of_url = |kind: &'static str, url: &str| {
        of_kind(kind).filter_map(parsed).find(|one| one.get("url").and_then(Value::as_str) == Some(url))
    };
    let set = of_url("ValueSet", url.split('|').next()?)?;
    let codes = |part: &str| -> Vec<(String, String)> {
        let parts = set.pointer(&format!("/compose/{part}")).and_then(Value::as_array).into_iter().flatten();
        parts
            .flat_map(|part| {
                let system = part.get("system").and_then(Value::as_str).unwrap_or_default();
                let whole = part.get("concept").is_none().then(|| of_url("CodeSystem", system)).flatten();
                let concepts = whole.as_ref().unwrap_or(part).get("concept").and_then(Value::as_array);
                let codes = concepts.into_iter().flatten().filter_map(|one| one.get("code").and_then(Value::as_str));
                codes.map(|code| (system.to_owned(), code.to_owned())).collect::<Vec<_>>()
            })
            .collect()
    };
    let out = codes("exclude");
    Some(codes("include").into_iter().filter(|code| !out.contains(code)).collect())
}

/// System and code of every concept of ours whose display begins so, whatever its case.
#[must_use]
pub fn displayed(text: &str) -> Vec<(String, String)> {
    let wanted = text.to_lowercase();
    let mut out = Vec::new();
    for system in of_kind("CodeSystem").filter_map(|one| serde_json::from_str::<Value>(one.json).ok()) {
        let url = system.get("url").and_then(Value::as_str).unwrap_or_default();
        for concept in system.get("concept").and_then(Value::as_array).into_iter().flatten() {
            let word = |key: &str| concept.get(key).and_then(Value::as_str).unwrap_or_default();
            if word("display").to_lowercase().starts_with(&wanted) {
                out.push((url.to_owned(), word("code").to_owned()));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Band, Closing, FlagKind, Pattern, SignalKind, Verdict, Why};
    use crate::fhir::write::codes;

    fn parsed(artefact: &Artefact) -> Value {
        serde_json::from_str(artefact.json).expect("json")
    }

    #[test]
    fn the_table_is_the_folder() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance");
        let measures = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
        for kind in ["CodeSystem", "OperationDefinition", "SearchParameter", "StructureDefinition", "ValueSet"] {
            let count = |root: &str| std::fs::read_dir(format!("{root}/{kind}")).map_or(0, Iterator::count);
            assert_eq!(count(root) + count(measures), of_kind(kind).count(), "{kind}");
        }
    }

    #[test]
    fn every_artefact_is_what_its_place_says() {
        for artefact in ALL {
            let json = parsed(artefact);
            assert_eq!(json["resourceType"], artefact.kind);
            assert_eq!(json["id"], artefact.id);
            assert_eq!(json["url"], format!("{}/{}/{}", codes::BASE, artefact.kind, artefact.id));
            assert_eq!(find(artefact.kind, artefact.id), Some(artefact));
        }
    }

    #[test]
    fn every_value_set_has_an_expansion() {
        for artefact in of_kind("ValueSet") {
            let url = format!("{}/ValueSet/{}", codes::BASE, artefact.id);
            assert!(!expansion(&url).expect("ours").is_empty(), "{}", artefact.id);
        }
        let finding = expansion("https://tautline.example/fhir/ValueSet/finding").expect("ours");
        assert!(
            finding.iter().any(|(_, code)| code == "pattern") && finding.iter().all(|(_, code)| code != "judgement")
        );
        assert!(expansion("http://elsewhere/ValueSet/x").is_none());
    }

    /// What is published is defined: each code with the same display.
    #[test]
    fn code_systems_have_every_code_we_publish() {
        let has = |system: &str, (code, display): (&str, &str)| {
            let json = parsed(find("CodeSystem", system).expect(system));
            let concepts = json["concept"].as_array().expect("concepts");
            assert!(concepts.iter().any(|c| c["code"] == code && c["display"] == display), "{system} {code} {display}");
        };
        for kind in SignalKind::ALL {
            has("signal", (kind.code(), codes::signal_display(kind)));
        }
        for kind in [FlagKind::EngagementDrop, FlagKind::NotOnTrack, FlagKind::SafetyItem] {
            has("flag", (kind.code(), codes::flag_display(kind)));
        }
        for pattern in [Pattern::None, Pattern::Withdrawal, Pattern::Confrontation] {
            has("pattern", (pattern.code(), codes::pattern_display(pattern)));
        }
        for band in [Band::NothingUnusual, Band::Watch, Band::Flag] {
            has("band", codes::band(band));
        }
        use Why::*;
        for why in [Signals, NoContact, AboveExpected, ReliableDeterioration, Plateau, SafetyAnswer] {
            has("flag-reason", codes::why(why));
        }
        use Closing::*;
        for closing in [Resolved, FalseAlarm, Disengaged, Ended, Acknowledged, AnsweredZero] {
            has("flag-closing", codes::closing(closing));
        }
        use Verdict::*;
        for verdict in [Named, RuptureYes, RuptureNo, RuptureUnsure, SafetyAcknowledged] {
            has("judgement", codes::verdict(verdict));
        }
    }

    /// Every coding of ours in a finding, wherever it stands, is in its code system with that display.
    #[test]
    fn findings_use_defined_codes_alone() {
        fn walk(value: &Value, found: &mut Vec<(String, String, String)>) {
            match value {
                Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
                Value::Object(members) => {
                    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
                    if let (Some(system), Some(code), Some(display)) = (text("system"), text("code"), text("display")) {
                        found.push((system, code, display));
                    }
                    members.values().for_each(|member| walk(member, found));
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        for finding in crate::fhir::write::tests::sample::all() {
            walk(&finding.resource, &mut found);
        }
        let mut ours = 0;
        for (system, code, display) in found {
            let Some(id) = system.strip_prefix("https://tautline.example/fhir/CodeSystem/") else { continue };
            let json = parsed(find("CodeSystem", id).expect("a code system of ours"));
            let concepts = json["concept"].as_array().expect("concepts");
            assert!(
                concepts.iter().any(|c| c["code"] == code.as_str() && c["display"] == display.as_str()),
                "{id} {code}"
            );
            ours += 1;
        }
        assert!(ours > 100);
    }
}
