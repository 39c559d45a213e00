//! Somebody else's EHR: SMART discovery, authorization, tokens, a FHIR API with pages, and a chart that frames us.

use crate::elsewhere::{self, Elsewhere, json_answer};
use crate::issuer::{Signer, now};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tautline::smart::keys::KeySet;

/// What it does and has seen.
#[derive(Default)]
pub struct Ward {
    pub url: String,
    /// `type/id` → resource.
    pub resources: Vec<Value>,
    /// Fields of the next token answer.
    pub context: Value,
    /// Launch parameter → fields of its token answer.
    pub launches: HashMap<String, Value>,
    /// What the authorization endpoint says instead of a code.
    pub denies: Option<&'static str>,
    /// The last redirect back.
    pub redirected: String,
    /// Where we are: what the chart frames.
    pub app: String,
    pub expires_in: i64,
    /// code → (challenge, redirect_uri, launch, nonce)
    codes: HashMap<String, (String, String, Option<String>, String)>,
    /// Signs who signed in: `signed_in` among the fields of a token answer, a `fhirUser`.
    pub signer: Option<Signer>,
    /// Authorization headers and forms that the token endpoint got.
    pub asked: Vec<(Option<String>, HashMap<String, String>)>,
    /// Overrides of the discovery document.
    pub discovery: Value,
    pub reads: usize,
    /// Resources that were written, in order.
    pub writes: Vec<Value>,
    /// The next create hangs for so long.
    pub stall: Option<Duration>,
    /// Where the app's public keys are: assertions are verified by them, as they were when first fetched.
    pub app_keys: Option<String>,
    pub known_keys: Option<Arc<KeySet>>,
    /// The next writes are refused so.
    pub refuse_writes: Option<u16>,
    pub style: Value,
    pub refuse: Option<u16>,
    /// Searches do not show these, without a word (consent); and what a read of one of them says instead.
    pub hides: Vec<String>,
    pub hidden_says: Option<u16>,
    /// Searches of this type fail.
    pub refuse_kind: Option<&'static str>,
    /// Searches are answered with this, and 200.
    pub instead: Option<Value>,
}

#[derive(Clone)]
pub struct Ehr {
    pub ward: Arc<Mutex<Ward>>,
    pub iss: String,
    server: Elsewhere,
}

/// What the authorize request carried.
pub struct Asked {
    pub redirect: String,
    pub parameters: HashMap<String, String>,
}

impl Ehr {
    pub async fn start() -> Self {
        Self::start_as("127.0.0.1")
    }

    /// Under this name of this machine: `localhost` and `127.0.0.1` are two sites to a browser.
    pub fn start_as(name: &str) -> Self {
        let (listener, url) = elsewhere::listen(name);
        let ward = Arc::new(Mutex::new(Ward { url: url.clone(), expires_in: 300, ..Ward::default() }));
        let shared: Shared = web::Data::from(Arc::new(Arc::clone(&ward)));
        let server = elsewhere::serve(listener, move |service| {
            service
                .app_data(shared.clone())
                .route("/fhir/.well-known/smart-configuration", web::get().to(discovery))
                .route("/authorize", web::get().to(authorize))
                .route("/chart/{launch}", web::get().to(chart))
                .route("/token", web::post().to(token))
                .route("/style.json", web::get().to(style))
                .route("/jwks", web::get().to(jwks))
                .route("/fhir/{kind}", web::get().to(search))
                .route("/fhir/{kind}", web::post().to(create))
                .route("/fhir/{kind}/{id}", web::put().to(update))
                .route("/fhir/{kind}/{id}", web::get().to(read));
        });
        Self { ward, iss: format!("{url}/fhir"), server }
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut Ward) -> T) -> T {
        work(&mut self.ward.lock().expect("the ward"))
    }

    /// The person signs in and consents: the redirect back.
    pub fn authorize(&self, url: &str) -> Asked {
        let (address, query) = url.split_once('?').expect("a query");
        let parameters: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let redirect = self.with(|ward| {
            assert_eq!(address, format!("{}/authorize", ward.url));
            ward.consent(&parameters)
        });
        Asked { redirect, parameters }
    }

    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

impl Ward {
    fn consent(&mut self, parameters: &HashMap<String, String>) -> String {
        let of = |name: &str| parameters.get(name).cloned().unwrap_or_default();
        assert_eq!((of("aud"), of("response_type")), (format!("{}/fhir", self.url), "code".into()));
        let mut back = form_urlencoded::Serializer::new(String::new());
        match self.denies {
            Some(error) => {
                back.append_pair("error", error);
            }
            None => {
                let code = format!("code-{}", uuid::Uuid::new_v4());
                back.append_pair("code", &code);
                let launch = parameters.get("launch").cloned();
                self.codes.insert(code, (of("code_challenge"), of("redirect_uri"), launch, of("nonce")));
            }
        }
        back.append_pair("state", &of("state"));
        self.redirected = format!("{}?{}", of("redirect_uri"), back.finish());
        self.redirected.clone()
    }
}

type Shared = web::Data<Arc<Mutex<Ward>>>;

async fn authorize(ward: Shared, asked: web::Query<HashMap<String, String>>) -> HttpResponse {
    let redirect = ward.lock().expect("the ward").consent(&asked);
    HttpResponse::Found().insert_header(("location", redirect)).finish()
}

/// A client's chart: us in a frame, 900 wide or as `?width=` says.
async fn chart(ward: Shared, http: HttpRequest, launch: web::Path<String>) -> HttpResponse {
    let ward = ward.lock().expect("the ward");
    let width = http.query_string().strip_prefix("width=").unwrap_or("900");
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("iss", &format!("{}/fhir", ward.url))
        .append_pair("launch", &launch)
        .finish()
        .replace('&', "&amp;");
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(format!(
        "<!doctype html><title>The chart</title><script>document.title = 'With script'</script>\
         <iframe width={width} height=900 src=\"{}/launch?{query}\"></iframe>",
        ward.app
    ))
}

async fn discovery(ward: Shared) -> HttpResponse {
    let ward = ward.lock().expect("the ward");
    let mut document = json!({"issuer": ward.url, "authorization_endpoint": format!("{}/authorize", ward.url), "token_endpoint": format!("{}/token", ward.url),
        "code_challenge_methods_supported": ["S256"], "capabilities": ["launch-ehr"]});
    if ward.signer.is_some() {
        document["jwks_uri"] = json!(format!("{}/jwks", ward.url));
    }
    for (key, value) in ward.discovery.as_object().into_iter().flatten() {
        document[key] = value.clone();
    }
    json_answer(&document)
}

/// A client that signs is let in by the keys it publishes.
async fn shows_its_key(ward: &Shared, form: &HashMap<String, String>) -> bool {
    let (url, known) = {
        let ward = ward.lock().expect("the ward");
        (ward.app_keys.clone(), ward.known_keys.clone())
    };
    let Some(url) = url else { return true };
    let known = match known {
        Some(known) => known,
        None => {
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let text = client.get(url).send().await.expect("an answer").text().await.expect("a body");
            let fetched = Arc::new(KeySet::read(&serde_json::from_str(&text).expect("json")));
            ward.lock().expect("the ward").known_keys = Some(Arc::clone(&fetched));
            fetched
        }
    };
    form.get("client_assertion").is_some_and(|assertion| known.verify(assertion).is_ok())
}

async fn token(ward: Shared, http: HttpRequest, form: web::Form<HashMap<String, String>>) -> HttpResponse {
    if !shows_its_key(&ward, &form).await {
        return HttpResponse::Unauthorized().content_type("application/json").body(r#"{"error":"invalid_client"}"#);
    }
    let mut ward = ward.lock().expect("the ward");
    let authorization = http.headers().get("authorization").map(|value| value.to_str().expect("text").to_owned());
    let form = form.into_inner();
    ward.asked.push((authorization, form.clone()));
    let bad = |error: &str| {
        HttpResponse::BadRequest()
            .content_type("application/json")
            .body(json!({"error": error, "error_description": "<script>alert(1)</script>"}).to_string())
    };
    let mut context = ward.context.clone();
    match form.get("grant_type").map(String::as_str) {
        Some("authorization_code") => {
            let Some((challenge, redirect, launch, nonce)) = form.get("code").and_then(|code| ward.codes.remove(code))
            else {
                return bad("invalid_grant");
            };
            let verifier = form.get("code_verifier").cloned().unwrap_or_default();
            let holds = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge
                && form.get("redirect_uri") == Some(&redirect);
            if !holds {
                return bad("invalid_grant");
            }
            if let Some(own) = launch.and_then(|launch| ward.launches.get(&launch)) {
                context = own.clone();
            }
            if let (Some(signer), Some(user)) = (&ward.signer, context.get("signed_in").cloned()) {
                context["id_token"] = json!(signer.sign(&json!({"iss": ward.url, "aud": "tautline", "exp": in_an_hour(), "nonce": nonce, "sub": "s", "fhirUser": user})));
            }
        }
        Some("client_credentials") => context = json!({"scope": form.get("scope")}),
        Some("refresh_token") if form.get("refresh_token").map(String::as_str) == Some("fresh") => {}
        _ => return bad("invalid_grant"),
    }
    let mut answer = json!({"access_token": "the-token-of-the-ehr", "token_type": "Bearer", "expires_in": ward.expires_in,
        "scope": "launch openid fhirUser patient/Patient.r patient/QuestionnaireResponse.rs patient/Task.rs patient/Appointment.rs"});
    for (key, value) in context.as_object().into_iter().flatten() {
        answer[key] = value.clone();
    }
    json_answer(&answer)
}

fn let_in(ward: &mut Ward, http: &HttpRequest) -> Result<(), StatusCode> {
    ward.reads += 1;
    if let Some(status) = ward.refuse {
        return Err(StatusCode::from_u16(status).expect("a status"));
    }
    let holds = http.headers().get("authorization").is_some_and(|value| value == "Bearer the-token-of-the-ehr");
    if holds { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
}

async fn read(ward: Shared, http: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    let mut ward = ward.lock().expect("the ward");
    if let Err(refused) = let_in(&mut ward, &http) {
        return HttpResponse::build(refused).finish();
    }
    if let Some(status) = ward.hidden_says.filter(|_| ward.hides.contains(&path.1)) {
        return HttpResponse::build(StatusCode::from_u16(status).expect("a status")).finish();
    }
    let found =
        ward.resources.iter().find(|one| one["resourceType"] == path.0.as_str() && one["id"] == path.1.as_str());
    found.map_or_else(
        || HttpResponse::NotFound().finish(),
        |one| HttpResponse::Ok().content_type("application/fhir+json").body(one.to_string()),
    )
}

async fn jwks(ward: Shared) -> HttpResponse {
    let keys: Vec<Value> = ward.lock().expect("the ward").signer.iter().map(|signer| signer.public.clone()).collect();
    json_answer(&json!({"keys": keys}))
}

async fn style(ward: Shared) -> HttpResponse {
    json_answer(&ward.lock().expect("the ward").style)
}

fn identifier_of(resource: &Value) -> String {
    let part = |key: &str| resource["identifier"][0][key].as_str().unwrap_or_default();
    format!("{}|{}", part("system"), part("value"))
}

async fn create(ward: Shared, http: HttpRequest, kind: web::Path<String>, body: String) -> HttpResponse {
    let stall = ward.lock().expect("the ward").stall.take();
    if let Some(stall) = stall {
        tokio::time::sleep(stall).await;
    }
    let mut ward = ward.lock().expect("the ward");
    if let Err(refused) = let_in(&mut ward, &http) {
        return HttpResponse::build(refused).finish();
    }
    if let Some(status) = ward.refuse_writes {
        return HttpResponse::build(StatusCode::from_u16(status).expect("a status")).finish();
    }
    let mut resource: Value = serde_json::from_str(&body).expect("json");
    assert_eq!((resource["resourceType"].as_str(), resource.get("id")), (Some(kind.as_str()), None));
    let criteria = http.headers().get("if-none-exist").expect("a conditional create").to_str().expect("text");
    let wanted = form_urlencoded::parse(criteria.as_bytes()).find(|(key, _)| key == "identifier").expect("one").1;
    if let Some(stands) = ward.resources.iter().find(|one| identifier_of(one) == *wanted) {
        return HttpResponse::Ok().content_type("application/fhir+json").body(stands.to_string());
    }
    resource["id"] = json!(format!("e{}", ward.resources.len()));
    resource["meta"] = json!({"versionId": "1"});
    ward.resources.push(resource.clone());
    ward.writes.push(resource.clone());
    HttpResponse::Created().content_type("application/fhir+json").body(resource.to_string())
}

async fn update(ward: Shared, http: HttpRequest, path: web::Path<(String, String)>, body: String) -> HttpResponse {
    let mut ward = ward.lock().expect("the ward");
    if let Err(refused) = let_in(&mut ward, &http) {
        return HttpResponse::build(refused).finish();
    }
    if let Some(status) = ward.refuse_writes {
        return HttpResponse::build(StatusCode::from_u16(status).expect("a status")).finish();
    }
    let mut resource: Value = serde_json::from_str(&body).expect("json");
    assert_eq!(resource["id"], path.1.as_str());
    let stands =
        ward.resources.iter_mut().find(|one| one["resourceType"] == path.0.as_str() && one["id"] == path.1.as_str());
    let stands = stands.expect("it stands");
    let version = stands["meta"]["versionId"].as_str().expect("a version").to_owned();
    let expected = http.headers().get("if-match").map(|value| value.to_str().expect("text").to_owned());
    if expected.is_some_and(|tag| tag != format!("W/\"{version}\"")) {
        return HttpResponse::PreconditionFailed().finish();
    }
    resource["meta"]["versionId"] = json!((version.parse::<u64>().expect("a number") + 1).to_string());
    *stands = resource.clone();
    ward.writes.push(resource);
    HttpResponse::Ok().finish()
}

/// Everything of the type, two a page; whoever asks has to look whose it is.
async fn search(ward: Shared, http: HttpRequest, kind: web::Path<String>) -> HttpResponse {
    let mut ward = ward.lock().expect("the ward");
    if let Err(refused) = let_in(&mut ward, &http) {
        return HttpResponse::build(refused).finish();
    }
    if ward.refuse_kind == Some(kind.as_str()) {
        return HttpResponse::InternalServerError().finish();
    }
    if let Some(instead) = &ward.instead {
        return json_answer(instead);
    }
    let page: usize = http
        .query_string()
        .split('&')
        .find_map(|pair| pair.strip_prefix("page="))
        .and_then(|page| page.parse().ok())
        .unwrap_or(0);
    let asked: HashMap<String, String> = form_urlencoded::parse(http.query_string().as_bytes()).into_owned().collect();
    let fits = |one: &&Value| asked.get("identifier").is_none_or(|identifier| *identifier == identifier_of(one));
    let shown = |one: &&Value| !ward.hides.iter().any(|hidden| one["id"] == hidden.as_str());
    let all: Vec<&Value> =
        ward.resources.iter().filter(|one| one["resourceType"] == kind.as_str()).filter(fits).filter(shown).collect();
    let entries: Vec<Value> = all.iter().skip(page * 2).take(2).map(|one| json!({"resource": one})).collect();
    let mut bundle = json!({"resourceType": "Bundle", "type": "searchset", "entry": entries});
    if all.len() > (page + 1) * 2 {
        bundle["link"] = json!([{"relation": "next", "url": format!("{}/fhir/{kind}?page={}", ward.url, page + 1)}]);
    }
    HttpResponse::Ok().content_type("application/fhir+json").body(bundle.to_string())
}

/// `Basic …` of a client and its secret.
pub fn basic(client: &str, secret: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{client}:{secret}")))
}

pub fn in_an_hour() -> i64 {
    now() + 3600
}
