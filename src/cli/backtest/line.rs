//! One assessment as a line of NDJSON, to the letter of the interface.

use crate::domain::{Assessment, SignalKind};
use std::fmt::Write;

/// `patient` and `appointment` are FHIR ids, but are escaped all the same.
pub fn write(out: &mut String, patient: &str, appointment: &str, start: jiff::Timestamp, said: &Assessment) {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let flags: Vec<String> = said.flags.iter().map(|flag| format!("\"{}\"", flag.code())).collect();
    let _ = write!(
        out,
        "{{\"patient\":{},\"appointment\":{},\"asOf\":\"{start}\",\"probability\":{},\"pattern\":\"{}\",\"flags\":[{}],\"carried\":{},\"signals\":{{",
        text(patient),
        text(appointment),
        number(said.probability),
        said.pattern.code(),
        flags.join(","),
        number(said.carried),
    );
    for (n, kind) in SignalKind::ALL.into_iter().enumerate() {
        let signal = said.signal(kind);
        let comma = if n > 0 { "," } else { "" };
        let evidence = number(signal.evidence);
        let _ = match signal.absent {
            true => write!(out, "{comma}\"{}\":{{\"absent\":true,\"evidence\":{evidence}}}", kind.code()),
            false => write!(out, "{comma}\"{}\":{{\"evidence\":{evidence}}}", kind.code()),
        };
    }
    out.push_str("}}\n");
}

/// Shortest text that reads back the same; never `-0.0`, never without a decimal point.
fn number(value: f64) -> String {
    debug_assert!(value.is_finite());
    format!("{:?}", if value == 0.0 { 0.0 } else { value })
}
