//! What attackers try (`smart.rs`, `launch.rs` and `systems.rs` hold their own): a clear refusal, bounded memory,
//! bounded time, and nothing said back.

use crate::issuer::now;
use crate::on_both;
use crate::server::{Answer, Backend, Place, Server};
use crate::smart::{World, entries, in_a_world};
use crate::story::patient;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const JSON: &[(&str, &str)] = &[("content-type", "application/fhir+json")];

/// No SQL, path, panic or library in what goes out.
#[track_caller]
fn discreet(answer: &Answer) {
    for word in ["SELECT", "sqlite", "sqlx", "postgres", "panicked", "/src/", ".rs:", "Error {", "stack"] {
        assert!(!answer.text.contains(word), "{word}: {}", answer.text);
    }
}

/// `text` through `gzip`, which every Debian has.
fn gzip(megabytes: usize) -> Vec<u8> {
    let mut child = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip");
    let mut input = child.stdin.take().expect("stdin");
    let writer = std::thread::spawn(move || {
        let block = vec![b' '; 1024 * 1024];
        for _ in 0..megabytes {
            input.write_all(&block).expect("written");
        }
    });
    let out = child.wait_with_output().expect("compressed").stdout;
    writer.join().expect("written");
    out
}

on_both! {
    async fn many_reads_in_a_bundle_answer_with_bounded_bytes(server: &Server) {
        let mut heavy = patient("a");
        heavy["contact"] = json!([{"name": {"text": "x".repeat(500_000)}}]);
        server.push(&[heavy]).await;
        let read = json!({"request": {"method": "GET", "url": "Patient/a"}});
        let bundle = |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": vec![&read; 60]});
        let answer = server.post("/fhir", &bundle("batch")).await;
        assert_eq!(answer.status, 200);
        let json = answer.json();
        let answered = json["entry"].as_array().expect("entries");
        let statuses: Vec<&str> = answered.iter().filter_map(|entry| entry["response"]["status"].as_str()).collect();
        let good = statuses.iter().filter(|status| status.starts_with("200")).count();
        assert!((30..40).contains(&good), "{statuses:?}");
        assert!(statuses[good..].iter().all(|status| status.starts_with("413")), "{statuses:?}");
        let refused = server.post("/fhir", &bundle("transaction")).await;
        assert_eq!(refused.status, 413, "{}", refused.text.get(..500).unwrap_or_default());
        discreet(&refused);
    }
}

on_both! {
    async fn hostile_searches_are_bounded(server: &Server) {
        server.push(&[patient("a"), patient("b")]).await;
        let ids = vec!["a"; 10_000].join(",");
        let long = "x".repeat(60_000);
        let began = Instant::now();
        for (query, status) in [
            (format!("_id={ids}"), 413),
            ("_count=1000000000".to_owned(), 200),
            ("_count=99999999999999999999999".to_owned(), 422),
            ("_count=-1".to_owned(), 422),
            ("name=%27%20OR%20%271%27=%271".to_owned(), 200),
            ("name=%25".to_owned(), 200),
            ("name=a%00b".to_owned(), 200),
            ("_id=a%27%3B--".to_owned(), 200),
            ("_cursor=AAAA".to_owned(), 400),
            ("_cursor=%27%3B%20DROP".to_owned(), 400),
            ("_sort=-_id%3B".to_owned(), 422),
            ("birthdate=eqeqeq".to_owned(), 422),
            ("name:nonsense=x".to_owned(), 400),
            (format!("name={long}"), 200),
            (vec!["name=a"; 200].join("&"), 413),
        ] {
            let answer = server.get(&format!("/fhir/Patient?{query}")).await;
            let short: String = query.chars().take(60).collect();
            // An URL may also be too long for HTTP itself.
            let ends = answer.status.as_u16() == status || answer.status.is_client_error();
            assert!(ends, "{short}: {} {}", answer.status, answer.text.chars().take(300).collect::<String>());
            discreet(&answer);
        }
        assert!(began.elapsed() < Duration::from_secs(20));
        let none = server.get("/fhir/Patient?name=%27%20OR%20%271%27=%271").await.expect(200).json();
        assert!(entries(&none).is_empty());
    }

    async fn hostile_bodies_are_bounded(server: &Server) {
        let began = Instant::now();
        // A bomb: 200 MB in 200 KB.
        let bomb = gzip(200);
        assert!(bomb.len() < 1024 * 1024);
        let headers = [JSON[0], ("content-encoding", "gzip")];
        // The refusal may come, and the connection end, before all is sent: then the client asks again.
        let mut answer = None;
        for _ in 0..5 {
            if let Some(got) = server.try_send(Method::POST, "/fhir", &headers, Some(bomb.clone())).await {
                answer = Some(got);
                break;
            }
        }
        answer.expect("an answer in five tries").expect(413);
        for encoding in ["br", "zstd", "gzip, gzip", "compress"] {
            let headers = [JSON[0], ("content-encoding", encoding)];
            let answer = server.send(Method::POST, "/fhir", &headers, Some(vec![0; 1000])).await;
            assert!(answer.status.is_client_error(), "{encoding}");
        }
        let entry = json!({"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}).to_string();
        let many = format!("{{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[{}]}}", vec![entry; 100_000].join(","));
        server.send(Method::POST, "/fhir", JSON, Some(many.into_bytes())).await.expect(413);
        let text = format!("{{\"resourceType\":\"Patient\",\"language\":\"{}\"}}", "x".repeat(10 * 1024 * 1024));
        let answer = server.send(Method::POST, "/fhir/Patient", JSON, Some(text.into_bytes())).await;
        assert!(answer.status.is_client_error() && answer.text.len() < 10_000, "{}", answer.status);
        // Against regular expressions that backtrack.
        for value in ["a".repeat(100_000) + "!", "0.".repeat(50_000), " ".repeat(100_000) + "x"] {
            for key in ["id", "birthDate", "gender"] {
                let mut resource = json!({"resourceType": "Patient"});
                resource[key] = json!(value);
                let answer = server.post("/fhir/Patient", &resource).await;
                assert!(answer.status.is_client_error(), "{key}");
                assert!(answer.text.len() < 10_000);
                discreet(&answer);
            }
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    }

    async fn pages_of_other_sites_and_rebound_names_get_nothing(server: &Server) {
        server.push(&[patient("a")]).await;
        let body = || Some(patient("x").to_string().into_bytes());
        for origin in ["https://evil.example", "http://localhost:1", "null", "http://127.0.0.1.evil.example"] {
            let headers = [JSON[0], ("origin", origin)];
            server.send(Method::PUT, "/fhir/Patient/x", &headers, body()).await.expect(403);
            // Without a preflight a browser sends these alone.
            let plain = [("content-type", "text/plain"), ("origin", origin)];
            assert!(server.send(Method::POST, "/fhir/Patient", &plain, body()).await.status.is_client_error());
            server.send(Method::POST, "/fhir/Patient/_search", &[("content-type", "application/x-www-form-urlencoded"), ("origin", origin)], Some(b"_id=a".to_vec())).await.expect(403);
        }
        server.get("/fhir/Patient/x").await.expect(404);
        let own = server.base.clone();
        server.send(Method::PUT, "/fhir/Patient/y", &[JSON[0], ("origin", &own)], body()).await.expect(400);
        for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example"] {
            for path in ["/fhir/Patient/a", "/fhir/Patient", "/app/caseload", "/app/patients/a"] {
                server.send(Method::GET, path, &[("host", host)], None).await.expect(403);
            }
        }
        for host in ["localhost", "localhost:99", "127.0.0.1:1", "[::1]:5"] {
            server.send(Method::GET, "/fhir/Patient/a", &[("host", host)], None).await.expect(200);
        }
    }

    async fn markup_in_data_stays_text(server: &Server) {
        let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>";
        let mut one = patient("evil");
        one["name"] = json!([{"text": evil}]);
        server.push(&[one, json!({"resourceType": "EpisodeOfCare", "id": "e", "status": "active", "patient": {"reference": "Patient/evil"}, "type": [{"text": evil}]})]).await;
        for path in ["/app/patients/evil", "/app/caseload", "/app/patients/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/app/patients/evil?asOf=%3Cscript%3E"] {
            let page = server.get(path).await;
            assert!(!page.text.contains("<script") && !page.text.contains("<img src=x"), "{path}");
            assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
            for (name, value) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff")] {
                assert_eq!(page.header(name), value, "{path}");
            }
        }
    }
}

in_a_world! {
    async fn other_peoples_page_cursors_are_worth_nothing(world: &World) {
        world.two_clients().await;
        let system = world.token("system/*.rs");
        let next = |bundle: &Value| {
            let links = bundle["link"].as_array().expect("links").clone();
            links.iter().find(|link| link["relation"] == "next").map(|link| link["url"].as_str().expect("a url").to_owned())
        };
        let first = world.get(&system, "/fhir/Task?_count=1").await.expect(200).json();
        let path = next(&first).expect("a next page").strip_prefix(&world.server.base).expect("ours").to_owned();
        let token = world.patient_token("a", "patient/*.rs");
        let answer = world.get(&token, &path).await;
        assert!(!answer.text.contains("b-h1") || answer.status.is_client_error(), "{}", answer.text);
        assert!(entries(&serde_json::from_str(&answer.text).unwrap_or_default()).iter().all(|one| one["id"] != "b-h1"));
    }

    async fn secrets_are_not_said_back(world: &World) {
        let claims = world.claims("system/*.rs");
        let token = world.signer.sign(&claims);
        let mut broken = token.clone();
        broken.truncate(token.len() - 8);
        for token in [&broken, &format!("{token}x")] {
            let answer = world.get(token, "/fhir/Flag").await.expect(401);
            assert!(!answer.text.contains(&token[..20]));
            discreet(&answer);
        }
        let later = json!({"iss": world.issuer.url, "exp": now()});
        assert!(!world.get(&world.signer.sign(&later), "/fhir/Flag").await.expect(401).text.contains(&world.issuer.url));
    }
}

#[actix_web::test]
async fn tls_without_a_proxy() {
    let fixtures = format!("{}/tests/fixtures", env!("CARGO_MANIFEST_DIR"));
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let lines = format!(
        "auth = \"none\"\ntls_cert_file = \"{fixtures}/tls-of-the-tests.crt\"\ntls_key_file = \"{fixtures}/tls-of-the-tests.key\"\n"
    );
    let server = Server::configured(&place, &lines).await;
    assert!(server.base.starts_with("https://"));
    server.get("/fhir/metadata").await.expect(200);
    server.push(&[patient("a")]).await;
    server.get("/fhir/Patient/a").await.expect(200);
    server.stop().await;
}

#[actix_web::test]
async fn slow_heads_are_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let place = Place::new(Backend::Sqlite).await.expect("a place");
    let server = Server::configured(&place, "auth = \"none\"\n").await;
    let mut stream =
        tokio::net::TcpStream::connect(server.base.trim_start_matches("http://")).await.expect("connected");
    stream.write_all(b"GET /fhir/metadata HTTP/1.1\r\nHost: loc").await.expect("written");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    server.stop().await;
}
