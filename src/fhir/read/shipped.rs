//! The measures in `profiles/measures`, built in.

use super::questionnaire::definition;
use crate::domain::Measures;
use serde_json::Value;
use std::sync::OnceLock;

macro_rules! measures {
    ($($name:literal)*) => {
        /// Name and text of each shipped Questionnaire.
        pub const SHIPPED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../profiles/measures/", $name, ".json")))),*];
    };
}

measures! {
    "core-10" "core-om" "epds" "gad-7" "k10" "oasis" "oq-45" "ors" "pcl-5" "phq-9" "srs" "wai-sr" "wemwbs" "wsas"
}

/// Every measure that is shipped. A test holds each file to be right; one that were not would be left out.
pub fn shipped() -> &'static Measures {
    static SHIPPED_MEASURES: OnceLock<Measures> = OnceLock::new();
    SHIPPED_MEASURES.get_or_init(|| {
        let read = |(_, text): &(&str, &str)| definition(&serde_json::from_str::<Value>(text).ok()?).ok().flatten();
        Measures::new(SHIPPED.iter().filter_map(read))
    })
}
