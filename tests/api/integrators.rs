//! The page for integrators, run as it stands.

use crate::on_both;
use reqwest::Method;

const PAGE: &str = include_str!("../../conformance/INTEGRATORS.md");

/// A `curl` of the page: method, URL, headers, body.
#[derive(Debug, Default)]
struct Request {
    method: Option<Method>,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// Words as a shell has them: blanks between, single and double quotes, `\$`.
fn words(command: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quote = None;
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        let last = out.len() - 1;
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            ('\\', Some('"')) => out[last].extend(letters.next()),
            (' ' | '\n', None) => out.push(String::new()),
            _ => out[last].push(letter),
        }
    }
    assert_eq!(quote, None, "{command}");
    out.retain(|word| !word.is_empty());
    out
}

fn requests() -> Vec<Request> {
    let blocks = PAGE.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    blocks
        .flat_map(|block| block.split("curl ").skip(1))
        .map(|command| {
            let mut request = Request::default();
            let mut words = words(command).into_iter();
            while let Some(word) = words.next() {
                let mut next = || words.next().expect("a value");
                match word.as_str() {
                    "-X" => request.method = next().parse().ok(),
                    "-H" => request
                        .headers
                        .extend(next().split_once(": ").map(|(key, value)| (key.to_owned(), value.to_owned()))),
                    "-d" => request.body = Some(next().into_bytes()),
                    url => request.url = url.replace("$base", "/fhir"),
                }
            }
            request
        })
        .collect()
}

on_both! {
    async fn every_request_of_the_page_works(server: &Server) {
        let all = requests();
        assert!(all.len() >= 15, "{}", all.len());
        for request in all {
            let headers: Vec<(&str, &str)> = request.headers.iter().map(|(key, value)| (key.as_str(), value.as_str())).chain([("prefer", "handling=strict")]).collect();
            let answer = server.send(request.method.clone().unwrap_or(Method::GET), &request.url, &headers, request.body).await;
            assert!(answer.status.is_success(), "{} {}", request.url, answer.text);
            assert!(!answer.text.contains("\"error\""), "{} {}", request.url, answer.text);
        }
        assert_eq!(server.get("/fhir/Appointment/a1").await.expect(200).json()["status"], "noshow");
        assert_eq!(server.all("Patient").await.len(), 1);
    }
}
