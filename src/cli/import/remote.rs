//! Batches to a running server, as batch Bundles.

use crate::fhir::outcome::{Issue, IssueType};
use crate::pipeline::load::{Loadable, Loaded, Place};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Tries of one Bundle where the server asks to wait.
const TRIES_MAX: u32 = 8;
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(300);

pub struct Remote {
    client: Client,
    url: Url,
    token: Option<String>,
}

impl Remote {
    /// # Errors
    /// A URL that is none, a token that cannot be read or would travel in clear.
    pub fn new(url: &str, token_file: Option<&Path>) -> Result<Self, String> {
        crate::smart::fetch::install_tls();
        let url = Url::parse(url.trim_end_matches('/'))
            .map_err(|_| format!("--url takes an FHIR base such as https://host/fhir; {url:?} is none"))?;
        let token = token_file
            .map(|path| {
                std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
            })
            .transpose()?;
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !local && token.is_some() {
            return Err("a token goes to https alone, or to this machine".into());
        }
        let client = Client::builder()
            .timeout(ANSWER_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self { client, url, token: token.map(|token| token.trim().to_owned()) })
    }

    /// # Errors
    /// The server is away, refuses the whole, or answers something else than FHIR.
    pub async fn send(
        &self,
        batch: Vec<Loadable>,
        loaded: &mut Loaded,
        tell: &mut (dyn FnMut(Place, &Issue) + Send),
    ) -> Result<(), String> {
        let sent: Vec<Value> = batch.iter().flat_map(entries_of).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "batch", "entry": sent});
        let answer = self.post(&bundle.to_string()).await?;
        let entries = answer.get("entry").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if entries.len() != sent.len() {
            return Err("the server did not answer each entry.".into());
        }
        // The last entry of each tells.
        let mut ends = 0;
        let told = batch.iter().map(|one| {
            ends += entries_of(one).len();
            (one, &entries[ends - 1])
        });
        // A server that could not keep some asks to be tried again.
        let mut again: BTreeMap<u16, usize> = BTreeMap::new();
        for (one, entry) in told {
            let response = entry.get("response").cloned().unwrap_or_default();
            let status = response
                .get("status")
                .and_then(Value::as_str)
                .and_then(|text| text.get(..3)?.parse().ok())
                .unwrap_or(0);
            match status {
                200 | 201 | 204 => loaded.count(status),
                500.. | 429 | 401 | 403 | 0 => *again.entry(status).or_default() += 1,
                _ => {
                    loaded.refused += 1;
                    for issue in issues(&response) {
                        tell(one.place, &issue);
                    }
                }
            }
        }
        match again.first_key_value() {
            None => Ok(()),
            Some((status, count)) => Err(format!("the server answered {status} to {count} entries.")),
        }
    }

    async fn post(&self, body: &str) -> Result<Value, String> {
        for again in 1..=TRIES_MAX {
            let mut request = self
                .client
                .post(self.url.clone())
                .header("content-type", "application/fhir+json")
                .body(body.to_owned());
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            let answer =
                request.send().await.map_err(|error| format!("the server is not reached: {}.", error.without_url()))?;
            match answer.status() {
                StatusCode::OK => {
                    let text = answer.text().await.map_err(|_| "the answer did not arrive whole.".to_owned())?;
                    return serde_json::from_str(&text).map_err(|_| "the answer is not FHIR.".to_owned());
                }
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if again < TRIES_MAX => {
                    tokio::time::sleep(wait(&answer)).await;
                }
                status => return Err(format!("the server answered {status}.")),
            }
        }
        Err("the server asked to wait too often.".into())
    }
}

/// What is sent of one. A Patient who was deleted is to be known as deleted where nobody has heard of them: so there is
/// first one, dated before any, that an instance which stands or was deleted already is not changed by.
fn entries_of(one: &Loadable) -> Vec<Value> {
    let url = format!("{}/{}", one.kind, one.id);
    let put = |resource: &Value| json!({"request": {"method": "PUT", "url": url}, "resource": resource});
    match &one.resource {
        Some(resource) => vec![put(resource)],
        None => {
            let unheard =
                json!({"resourceType": "Patient", "id": one.id, "meta": {"lastUpdated": "1900-01-01T00:00:00Z"}});
            let first = (one.kind == "Patient").then(|| put(&unheard));
            first.into_iter().chain([json!({"request": {"method": "DELETE", "url": url}})]).collect()
        }
    }
}

fn wait(answer: &Response) -> Duration {
    let asked = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(asked.unwrap_or(2).clamp(1, 60))
}

fn issues(response: &Value) -> Vec<Issue> {
    let all = response.pointer("/outcome/issue").and_then(Value::as_array).into_iter().flatten();
    all.map(|one| {
        let text = |path: &str| one.pointer(path).and_then(Value::as_str);
        let issue = Issue::error(IssueType::Processing, text("/diagnostics").unwrap_or("refused"));
        match text("/expression/0").map(|place| place.split_once(".resource.").map_or(place, |(_, inside)| inside)) {
            Some(place) => issue.at(place),
            None => issue,
        }
    })
    .collect()
}
