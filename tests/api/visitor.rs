//! Somebody with a browser who launches us from an EHR.

use crate::ehr::{Asked, Ehr};
use crate::server::{Answer, Backend, Place, Server};
use reqwest::{Method, redirect};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Reading an EHR ends by itself after 90 s, and checking what is missing after 30 more.
const READ_WITHIN: Duration = Duration::from_secs(150);

/// A browser, as far as it matters: cookies, no redirects.
pub struct Browser {
    client: reqwest::Client,
    base: String,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new(server: &Server) -> Self {
        Self::at(&server.base)
    }

    pub fn at(base: &str) -> Self {
        let client =
            reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none()).build().expect("a client");
        Self { client, base: base.to_owned(), cookies: BTreeMap::new() }
    }

    pub async fn send(&mut self, method: Method, path: &str, form: Option<&[(&str, &str)]>) -> Answer {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.client.request(method, url);
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        if let Some(form) = form {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request =
                request.header("content-type", "application/x-www-form-urlencoded").header("origin", "null").body(body);
        }
        let response = request.send().await.expect("an answer");
        for set in response.headers().get_all("set-cookie") {
            let text = set.to_str().expect("text");
            for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=None", "; Partitioned"] {
                assert!(text.contains(part), "{part} of {text}");
            }
            assert!(text.starts_with("__Host-") && !text.contains("Domain"), "{text}");
            let (name, rest) = text.split_once('=').expect("a cookie");
            let value = rest.split(';').next().expect("a value");
            if value.is_empty() {
                self.cookies.remove(name)
            } else {
                self.cookies.insert(name.into(), value.into())
            };
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, text: response.text().await.expect("a body") }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// From the chart to the redirect back, which is not followed yet.
    pub async fn launch(&mut self, ehr: &Ehr, launch: Option<&str>) -> Asked {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("iss", &ehr.iss);
        query.extend_pairs(launch.map(|launch| ("launch", launch)));
        let answer = self.get(&format!("/launch?{}", query.finish())).await.expect(303);
        ehr.authorize(answer.header("location"))
    }

    /// All the way to the page.
    pub async fn enter(&mut self, ehr: &Ehr) -> String {
        let asked = self.launch(ehr, Some("the-launch")).await;
        let answer = self.get(&asked.redirect).await.expect(303);
        answer.header("location").to_owned()
    }

    /// The page once the EHR has been read.
    pub async fn page(&mut self, path: &str) -> Answer {
        // By time, not by tries: a launch reads a hundred pages, which takes a loaded machine longer than our looks.
        let began = Instant::now();
        while began.elapsed() < READ_WITHIN {
            let answer = self.get(path).await;
            if answer.header("refresh").is_empty() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("reading the EHR does not end");
    }
}

pub async fn server(ehrs: &[(&Ehr, &str)]) -> (Server, Place) {
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let mut lines = "auth = \"smart\"\n".to_owned();
    for (ehr, more) in ehrs {
        lines += &format!(
            "[[ehrs]]\niss = \"{}\"\nclient_id = \"tautline\"\nscope = \"launch openid fhirUser patient/Patient.r patient/QuestionnaireResponse.rs patient/Task.rs patient/Appointment.rs\"\n\
             frame_ancestors = [\"https://ehr.example\"]\nallow_insecure = true\n{more}\n",
            ehr.iss
        );
    }
    (Server::configured(&place, &lines).await, place)
}
