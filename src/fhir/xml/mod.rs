//! FHIR XML, to and from the JSON that everything else here speaks, by the element table. What was read goes
//! through the same check as JSON: a value that is no number stays a text, so that the check says so.

mod read;
mod write;

pub use read::read;
pub use write::write;

/// Of every FHIR element.
const FHIR: &str = "http://hl7.org/fhir";
/// Of narratives.
const XHTML: &str = "http://www.w3.org/1999/xhtml";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::check::Limits;
    use serde_json::{Value, json};

    fn back(xml: &str) -> Value {
        read(xml.as_bytes(), Limits::default()).unwrap_or_else(|issue| panic!("{}: {xml}", issue.diagnostics))
    }

    #[test]
    fn there_and_back_again() {
        let text = r#"{"resourceType":"Patient","id":"x","meta":{"versionId":"1"},
            "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>A &amp; <b>B</b></p></div>"},
            "contained":[{"resourceType":"Organization","id":"o","name":"a<b>\"&\n c"}],
            "extension":[{"url":"http://e","valueDecimal":1.00},{"url":"http://f","extension":[{"url":"g","valueString":"ü"}]}],
            "active":true,"name":[{"id":"n","family":"Z","given":["A","B",null],"_given":[null,{"id":"g"},{"extension":[{"url":"u","valueCode":"c"}]}]}],
            "_birthDate":{"extension":[{"url":"http://f","valueString":"x"}]},"multipleBirthInteger":2}"#;
        let resource: Value = serde_json::from_str(text).expect("json");
        let xml = write(&resource).expect("writes");
        assert_eq!(back(&xml), resource, "{xml}");
        assert!(xml.contains("<extension url=\"http://e\"><valueDecimal value=\"1.00\"/></extension>"), "{xml}");
        assert!(xml.starts_with("<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"x\"/>"), "{xml}");
    }

    #[test]
    fn lists_stay_lists_and_bundles_hold_resources() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?><!-- a Bundle --><Bundle xmlns="http://hl7.org/fhir"><type value="batch"/>
            <entry><resource><Task><status value="requested"/><note><text value="x"/></note></Task></resource>
            <request><method value="POST"/><url value="Task"/></request></entry></Bundle>"#;
        let expected = json!({"resourceType": "Bundle", "type": "batch", "entry": [{"resource": {"resourceType": "Task", "status": "requested", "note": [{"text": "x"}]}, "request": {"method": "POST", "url": "Task"}}]});
        assert_eq!(back(xml), expected);
        assert_eq!(back(&write(&expected).expect("writes")), expected);
    }

    #[test]
    fn what_is_no_fhir_xml_is_refused() {
        let deep = format!("{}{}", "<extension url=\"a\">".repeat(500), "</extension>".repeat(500));
        let laughs = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><Patient xmlns=\"http://hl7.org/fhir\"><id value=\"&b;\"/></Patient>";
        for bad in [
            "",
            "x",
            "<a>",
            "<Patient>",
            "<Patient xmlns=\"urn:other\"/>",
            "<Nonsense xmlns=\"http://hl7.org/fhir\"/>",
            laughs,
            "<Patient xmlns=\"http://hl7.org/fhir\"><colour value=\"x\"/></Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\">text</Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"&unknown;\"/></Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"1\" value=\"2\"/></Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><id colour=\"1\"/></Patient>",
            "<Patient xmlns=\"http://hl7.org/fhir\"/><Patient/>",
            "<Patient xmlns=\"http://hl7.org/fhir\"><contained/></Patient>",
            &format!("<Patient xmlns=\"http://hl7.org/fhir\">{deep}</Patient>"),
        ] {
            let issue = read(bad.as_bytes(), Limits::default()).expect_err(bad);
            assert!(issue.refuses());
        }
        assert!(
            read(b"<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"\xff\"/></Patient>", Limits::default()).is_err()
        );
    }

    /// The public examples, where they lie beside the repository.
    #[test]
    fn the_public_examples_survive() {
        let folder = std::env::var("FHIR_EXAMPLES").unwrap_or_else(|_| "../shared/data/fhir-r4-examples".into());
        let Ok(files) = std::fs::read_dir(&folder) else {
            eprintln!("SKIPPED: no public examples in {folder}");
            return;
        };
        let mut count = 0;
        for file in files.flatten() {
            let Ok(text) = std::fs::read_to_string(file.path()) else { continue };
            let Ok(resource) = serde_json::from_str::<Value>(&text) else { continue };
            // What the table does not know cannot be written: the check refuses such resources before.
            if crate::fhir::check::check(&resource).iter().any(crate::fhir::outcome::Issue::refuses) {
                continue;
            }
            let xml = write(&resource).expect("writes");
            let again = back(&xml);
            assert_eq!(again, resource, "{:?}", file.file_name());
            count += 1;
        }
        eprintln!("{count} public examples");
        assert!(count > 100);
    }
}
