//! Other people's servers, on this machine.

use actix_web::dev::ServerHandle;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpResponse, HttpServer};
use serde_json::Value;
use std::net::TcpListener;

/// One of them, until it is stopped.
#[derive(Clone)]
pub struct Elsewhere(ServerHandle);

/// A port of this machine, and its URL under one of the machine's names.
pub fn listen(name: &str) -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, format!("http://{name}:{port}"))
}

pub fn serve(listener: TcpListener, configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> Elsewhere {
    let server = HttpServer::new(move || App::new().configure(configure.clone()))
        .workers(1)
        .disable_signals()
        .listen(listener)
        .expect("listens")
        .run();
    let handle = server.handle();
    tokio::spawn(server);
    Elsewhere(handle)
}

impl Elsewhere {
    pub async fn stop(&self) {
        self.0.stop(false).await;
    }
}

pub fn json_answer(value: &Value) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("cache-control", "no-store"))
        .body(value.to_string())
}
