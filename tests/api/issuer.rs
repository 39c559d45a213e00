//! Somebody else's authorization server: real keys, real HTTP, on this machine.

use crate::elsewhere::{self, Elsewhere, json_answer};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A key to sign with, and its public half.
#[derive(Clone)]
pub struct Signer {
    pub id: String,
    pub algorithm: Algorithm,
    pub key: EncodingKey,
    pub public: Value,
}

impl Signer {
    pub fn es384(id: &str) -> Self {
        let random = ring::rand::SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).expect("a key");
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, document.as_ref(), &random).expect("a key");
        let point = &pair.public_key().as_ref()[1..];
        let public = json!({"kty": "EC", "crv": "P-384", "use": "sig", "alg": "ES384", "kid": id,
            "x": BASE64.encode(&point[..48]), "y": BASE64.encode(&point[48..])});
        Self { id: id.into(), algorithm: Algorithm::ES384, key: EncodingKey::from_ec_der(document.as_ref()), public }
    }

    pub fn rs384(id: &str) -> Self {
        tautline::smart::crypto::install();
        let pem = include_bytes!("../fixtures/rsa-of-the-tests.pem");
        let key = EncodingKey::from_rsa_pem(pem).expect("a key");
        let jwk = Jwk::from_encoding_key(&key, Algorithm::RS384).expect("public half");
        let mut public = serde_json::to_value(&jwk).expect("json");
        public["kid"] = json!(id);
        Self { id: id.into(), algorithm: Algorithm::RS384, key, public }
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(claims, |_| {})
    }

    pub fn sign_with(&self, claims: &Value, change: impl FnOnce(&mut Header)) -> String {
        tautline::smart::crypto::install();
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        change(&mut header);
        jsonwebtoken::encode(&header, claims, &self.key).expect("a token")
    }
}

/// A token put together by hand: for headers that no library writes.
pub fn by_hand(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), BASE64.encode(signature))
}

pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Where people sign in to apps: `p1` is who they choose.
struct Desk {
    url: String,
    signer: Signer,
    /// code → what was asked for
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
}

async fn authorize(desk: web::Data<Desk>, asked: web::Query<HashMap<String, String>>) -> HttpResponse {
    let code = uuid::Uuid::new_v4().to_string();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &code)
        .append_pair("state", &asked["state"])
        .finish();
    let back = format!("{}?{query}", asked["redirect_uri"]);
    desk.codes.lock().expect("codes").insert(code, asked.into_inner());
    HttpResponse::Found().insert_header(("location", back)).finish()
}

async fn token(desk: web::Data<Desk>, form: web::Form<HashMap<String, String>>) -> HttpResponse {
    let asked = desk.codes.lock().expect("codes").remove(&form["code"]).expect("a code of ours");
    assert_eq!(BASE64.encode(Sha256::digest(&form["code_verifier"])), asked["code_challenge"]);
    assert_eq!(form["redirect_uri"], asked["redirect_uri"]);
    let claims = json!({"iss": desk.url, "aud": asked["aud"], "exp": now() + 300, "sub": "someone",
        "client_id": asked["client_id"], "scope": asked["scope"], "patient": "p1"});
    json_answer(&json!({"access_token": desk.signer.sign(&claims), "token_type": "Bearer", "expires_in": 300,
        "scope": asked["scope"], "patient": "p1"}))
}

pub struct Issuer {
    pub url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    pub fetched: Arc<AtomicUsize>,
    /// What the key set answers with, instead of itself.
    pub broken: Arc<AtomicU16>,
    /// Opaque tokens, and what is answered about them.
    pub opaque: Arc<Mutex<HashMap<String, Value>>>,
    /// How often it was asked about tokens, and by whom.
    pub asked: Arc<Mutex<Vec<String>>>,
    server: Elsewhere,
}

impl Issuer {
    pub async fn start(signers: &[&Signer]) -> Self {
        let keys = Arc::new(Mutex::new(signers.iter().map(|signer| signer.public.clone()).collect::<Vec<_>>()));
        let fetched = Arc::new(AtomicUsize::new(0));
        let broken = Arc::new(AtomicU16::new(0));
        let (listener, url) = elsewhere::listen("127.0.0.1");
        let (own, served, count, fault) = (url.clone(), Arc::clone(&keys), Arc::clone(&fetched), Arc::clone(&broken));
        let opaque: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (known, askers) = (Arc::clone(&opaque), Arc::clone(&asked));
        let desk = Arc::new(Desk { url: url.clone(), signer: signers[0].clone(), codes: Mutex::default() });
        let server = elsewhere::serve(listener, move |service| {
            let document = json!({"issuer": own, "jwks_uri": format!("{own}/jwks"),
                "authorization_endpoint": format!("{own}/authorize"), "token_endpoint": format!("{own}/token")});
            let (served, count) = (Arc::clone(&served), Arc::clone(&count));
            let own_fault = Arc::clone(&fault);
            let described = move || std::future::ready(json_answer(&document));
            let set = move || {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = match own_fault.load(Ordering::SeqCst) {
                    0 => json_answer(&json!({"keys": *served.lock().expect("keys")})),
                    200 => HttpResponse::Ok().body("x".repeat(2 * 1024 * 1024)),
                    302 => HttpResponse::Found().insert_header(("location", "/jwks")).finish(),
                    status => {
                        HttpResponse::build(actix_web::http::StatusCode::from_u16(status).expect("a status")).finish()
                    }
                };
                std::future::ready(answer)
            };
            let (known, askers, failing) = (Arc::clone(&known), Arc::clone(&askers), Arc::clone(&fault));
            let introspect = move |http: HttpRequest, form: web::Form<HashMap<String, String>>| {
                let by = http.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
                askers.lock().expect("askers").push(by.to_owned());
                let answer = match failing.load(Ordering::SeqCst) {
                    0 => {
                        let known = known.lock().expect("tokens");
                        json_answer(known.get(&form["token"]).unwrap_or(&json!({"active": false})))
                    }
                    _ => HttpResponse::InternalServerError().finish(),
                };
                std::future::ready(answer)
            };
            service
                .app_data(web::Data::from(Arc::clone(&desk)))
                .route("/authorize", web::get().to(authorize))
                .route("/token", web::post().to(token))
                .route("/introspect", web::post().to(introspect))
                .route("/.well-known/openid-configuration", web::get().to(described))
                .route("/jwks", web::get().to(set));
        });
        Self { url, keys, fetched, broken, opaque, asked, server }
    }

    pub fn rotate(&self, signers: &[&Signer]) {
        *self.keys.lock().expect("keys") = signers.iter().map(|signer| signer.public.clone()).collect();
    }

    pub async fn stop(&self) {
        self.server.stop().await;
    }
}
