//! Settings: flags over environment over file over defaults, read once into types.

use clap::Args;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// Where the server listens by default: this machine alone.
const LISTEN: &str = "127.0.0.1:8080";
const DATABASE_URL: &str = "sqlite://tautline.db";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Access tokens of the configured issuers.
    #[default]
    Smart,
    /// Nobody is asked; on a loopback address alone.
    None,
}

/// The options of `tautline serve`, each also `TAUTLINE_…` in the environment and a key of the file.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// TOML file with the same keys, and the lists of issuers, clients and EHRs
    #[arg(long, env = "TAUTLINE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "TAUTLINE_LISTEN", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// sqlite://FILE (created if missing) or postgres://… [default: sqlite://tautline.db]
    #[arg(long, env = "TAUTLINE_DATABASE_URL")]
    pub database_url: Option<String>,
    /// The external URL; the FHIR base is this and /fhir [default: http://LISTEN]
    #[arg(long, env = "TAUTLINE_BASE_URL")]
    pub base_url: Option<String>,
    /// Who is let in [default: smart]
    #[arg(long, env = "TAUTLINE_AUTH", value_enum)]
    pub auth: Option<Auth>,
    /// IANA time zone of the service: "today", dates without a time, the page [default: UTC]
    #[arg(long, env = "TAUTLINE_TIME_ZONE")]
    pub time_zone: Option<String>,
    /// Constants from `tautline fit` [default: those shipped]
    #[arg(long, env = "TAUTLINE_CONSTANTS")]
    pub constants: Option<PathBuf>,
    /// Private key of the embedded authorization server [default: beside the database, made if missing]
    #[arg(long, env = "TAUTLINE_SIGNING_KEY_FILE")]
    pub signing_key_file: Option<PathBuf>,
    /// Certificate chain (PEM): TLS without a proxy
    #[arg(long, env = "TAUTLINE_TLS_CERT_FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, env = "TAUTLINE_TLS_KEY_FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
    /// Requests a second that one client may send; bursts of five times as many pass [default: 100]
    #[arg(long, env = "TAUTLINE_REQUESTS_PER_SECOND")]
    pub requests_per_second: Option<u32>,
    /// Minutes after which a launch's session ends if nobody looks; it lasts 12 hours at most [default: 60]
    #[arg(long, env = "TAUTLINE_SESSION_IDLE_MINUTES")]
    pub session_idle_minutes: Option<u32>,
    /// Days that events of the audit trail are kept [default: for ever]
    #[arg(long, env = "TAUTLINE_AUDIT_DAYS")]
    pub audit_days: Option<u32>,
    /// Sessions of launches at once [default: 10000]
    #[arg(long, env = "TAUTLINE_SESSIONS_MAX")]
    pub sessions_max: Option<u32>,
    /// Minutes that the files of $export and $import can be had [default: 60]
    #[arg(long, env = "TAUTLINE_BULK_KEEP_MINUTES")]
    pub bulk_keep_minutes: Option<u32>,
}

/// The file. An unknown key refuses to start, naming it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: Option<String>,
    database_url: Option<String>,
    base_url: Option<String>,
    auth: Option<Auth>,
    time_zone: Option<String>,
    constants: Option<PathBuf>,
    signing_key_file: Option<PathBuf>,
    tls_cert_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    requests_per_second: Option<u32>,
    session_idle_minutes: Option<u32>,
    audit_days: Option<u32>,
    sessions_max: Option<u32>,
    bulk_keep_minutes: Option<u32>,
    #[serde(default)]
    issuers: Vec<Issuer>,
    #[serde(default)]
    clients: Vec<Client>,
    #[serde(default)]
    ehrs: Vec<Ehr>,
}

/// Whose access tokens are accepted at `/fhir`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    pub issuer: String,
    pub jwks_url: Option<String>,
    pub audience: Option<String>,
    /// RFC 7662: where tokens that are no JWTs are asked about, and as whom.
    pub introspection_url: Option<String>,
    pub introspection_client_id: Option<String>,
    pub introspection_client_secret_file: Option<PathBuf>,
    #[serde(default)]
    pub allow_insecure: bool,
}

/// A system client of the embedded authorization server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    pub client_id: String,
    pub jwks_url: Option<String>,
    pub jwks_file: Option<PathBuf>,
    pub scope: String,
    #[serde(default)]
    pub allow_insecure: bool,
}

/// An EHR that may launch and frame us.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ehr {
    pub iss: String,
    pub client_id: String,
    pub client_secret_file: Option<PathBuf>,
    pub private_key_file: Option<PathBuf>,
    pub key_id: Option<String>,
    pub scope: String,
    #[serde(default)]
    pub frame_ancestors: Vec<String>,
    #[serde(default)]
    pub write_flags: bool,
    /// What we ask for as a system, nobody having launched: `write_flags` then needs no launch.
    pub system_scope: Option<String>,
    #[serde(default)]
    pub pushes: bool,
    #[serde(default)]
    pub allow_insecure: bool,
}

/// What the server runs by.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub database_url: String,
    /// External URL without a last slash.
    pub base_url: String,
    pub auth: Auth,
    pub zone: TimeZone,
    pub zone_name: String,
    pub constants: Option<PathBuf>,
    /// Private key of the embedded authorization server; made where it is missing.
    pub signing_key_file: PathBuf,
    /// Certificate chain and private key, PEM: TLS by ourselves, where no proxy does it.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Of one client; bursts of five times as many pass.
    pub requests_per_second: u32,
    /// A session ends when nobody looks for so long.
    pub session_idle_minutes: u32,
    /// Events of the trail that are older are forgotten; `None`: none is.
    pub audit_days: Option<u32>,
    /// Sessions at once.
    pub sessions_max: u32,
    /// Files of bulk jobs can be had so long.
    pub bulk_keep_minutes: u32,
    pub issuers: Vec<Issuer>,
    pub clients: Vec<Client>,
    pub ehrs: Vec<Ehr>,
}

/// A setting that cannot be; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Config {
    /// # Errors
    /// A file that cannot be read, an unknown key, a value that cannot be.
    pub fn read(options: &Options) -> Result<Self, ConfigError> {
        let file = options.config.as_deref().map_or_else(|| Ok(File::default()), read_file)?;
        let listen = match options.listen {
            Some(listen) => listen,
            None => address(file.listen.as_deref().unwrap_or(LISTEN)).map_err(ConfigError)?,
        };
        let auth = options.auth.or(file.auth).unwrap_or_default();
        if auth == Auth::None && !listen.ip().is_loopback() {
            return Err(ConfigError(format!(
                "auth \"none\" lets anyone read everything, so it needs a loopback address; {listen} is not one. \
                 Use --listen 127.0.0.1:{} or --auth smart.",
                listen.port()
            )));
        }
        let with_tls = options.tls_cert_file.is_some() || file.tls_cert_file.is_some();
        let scheme = if with_tls { "https" } else { "http" };
        let base_url = options.base_url.clone().or(file.base_url).unwrap_or_else(|| format!("{scheme}://{listen}"));
        if !(base_url.starts_with("http://") || base_url.starts_with("https://")) {
            return Err(ConfigError("base_url must begin with https:// (or http:// on this machine)".into()));
        }
        let zone_name = options.time_zone.clone().or(file.time_zone).unwrap_or_else(|| "UTC".into());
        let zone = TimeZone::get(&zone_name)
            .map_err(|_| ConfigError("time_zone must be an IANA name such as Europe/Berlin".into()))?;
        if file.ehrs.iter().filter(|ehr| ehr.pushes).count() > 1 {
            return Err(ConfigError("at most one of [[ehrs]] may have pushes = true: ids would collide".into()));
        }
        if let Some(odd) = file.ehrs.iter().flat_map(|ehr| &ehr.frame_ancestors).find(|origin| !is_origin(origin)) {
            let text = format!("frame_ancestors takes origins such as https://ehr.example; {odd:?} is none");
            return Err(ConfigError(text));
        }
        let database_url = options.database_url.clone().or(file.database_url).unwrap_or_else(|| DATABASE_URL.into());
        let signing_key_file = options
            .signing_key_file
            .clone()
            .or(file.signing_key_file)
            .unwrap_or_else(|| beside(&database_url, "signing-key.pem"));
        let tls = match (
            options.tls_cert_file.clone().or(file.tls_cert_file),
            options.tls_key_file.clone().or(file.tls_key_file),
        ) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(ConfigError("tls_cert_file and tls_key_file belong together: give both or none".into())),
        };
        let requests_per_second = options.requests_per_second.or(file.requests_per_second).unwrap_or(100);
        if requests_per_second == 0 {
            return Err(ConfigError("requests_per_second must be 1 or more".into()));
        }
        let session_idle_minutes = options.session_idle_minutes.or(file.session_idle_minutes).unwrap_or(60);
        let sessions_max = options.sessions_max.or(file.sessions_max).unwrap_or(10_000);
        let audit_days = options.audit_days.or(file.audit_days);
        if audit_days == Some(0) {
            return Err(ConfigError("audit_days must be 1 or more; left out, the trail is kept for ever".into()));
        }
        let bulk_keep_minutes = options.bulk_keep_minutes.or(file.bulk_keep_minutes).unwrap_or(60);
        if session_idle_minutes == 0 || sessions_max == 0 || bulk_keep_minutes == 0 {
            let text = "session_idle_minutes, sessions_max and bulk_keep_minutes must be 1 or more";
            return Err(ConfigError(text.into()));
        }
        Ok(Self {
            listen,
            database_url,
            signing_key_file,
            tls,
            requests_per_second,
            session_idle_minutes,
            audit_days,
            sessions_max,
            bulk_keep_minutes,
            base_url: base_url.trim_end_matches('/').to_owned(),
            auth,
            zone,
            zone_name,
            constants: options.constants.clone().or(file.constants),
            issuers: file.issuers,
            clients: file.clients,
            ehrs: file.ehrs,
        })
    }

    /// Our FHIR base, without a last slash.
    #[must_use]
    pub fn fhir_base(&self) -> String {
        format!("{}/fhir", self.base_url)
    }
}

/// `127.0.0.1:8080`, or a name of this machine and a port.
///
/// # Errors
/// What it is not, and an example.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let all = text
        .to_socket_addrs()
        .map_err(|_| format!("{text:?} is no address of this machine and port, such as {LISTEN}"))?;
    let all: Vec<SocketAddr> = all.collect();
    let first = all.iter().find(|address| address.is_ipv4()).or(all.first());
    first.copied().ok_or_else(|| format!("{text:?} is the name of no address"))
}

/// `https://host` or `https://host:port`: it becomes part of a header.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b))
    })
}

/// A file beside the database: `tautline.signing-key.pem` for `sqlite://tautline.db`; in the working folder for a
/// database elsewhere.
fn beside(database_url: &str, name: &str) -> PathBuf {
    let path = database_url.strip_prefix("sqlite:").map(|path| path.trim_start_matches("//"));
    match path.map(|path| path.split('?').next().unwrap_or(path)).filter(|path| !path.contains(":memory:")) {
        Some(path) => Path::new(path).with_extension(name),
        None => PathBuf::from(format!("tautline.{name}")),
    }
}

fn read_file(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("cannot read the configuration file {}: {error}", path.display())))?;
    toml::from_str(&text)
        .map_err(|error| ConfigError(format!("configuration file {}: {}", path.display(), error.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tautline.toml");
        std::fs::write(&path, text).expect("written");
        Config::read(&Options { config: Some(path), ..Options::default() })
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = with_file("lisen = \"127.0.0.1:1\"").expect_err("refused");
        assert!(error.to_string().contains("lisen"), "{error}");
    }

    #[test]
    fn names_of_this_machine_are_addresses_too() {
        assert_eq!(address("127.0.0.1:1"), Ok("127.0.0.1:1".parse().expect("an address")));
        assert!(address("localhost:8080").expect("an address").ip().is_loopback());
        assert!(with_file("listen = \"localhost:8080\"\nauth = \"none\"").is_ok());
        for none in ["localhost", "8080", "no.such.name.invalid:1", ""] {
            assert!(address(none).is_err(), "{none}");
        }
    }

    #[test]
    fn no_auth_is_refused_off_this_machine() {
        assert!(with_file("auth = \"none\"\nlisten = \"0.0.0.0:8080\"").is_err());
        assert!(with_file("auth = \"none\"").is_ok());
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tautline.toml");
        std::fs::write(&path, "listen = \"127.0.0.1:1\"\ntime_zone = \"Europe/Berlin\"").expect("written");
        let options = Options { config: Some(path), listen: "127.0.0.1:2".parse().ok(), ..Options::default() };
        let config = Config::read(&options).expect("reads");
        assert_eq!((config.listen.port(), config.zone_name.as_str()), (2, "Europe/Berlin"));
        assert_eq!(config.fhir_base(), "http://127.0.0.1:2/fhir");
    }
}
