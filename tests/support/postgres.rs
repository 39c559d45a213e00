//! PostgreSQL for tests: the server that `TAUTLINE_TEST_POSTGRES_URL` names, or a throw-away one of our own if
//! its programs are installed, or none, which is said plainly.
//!
//! Our own server stops when the test process ends, however it ends: a shell waits for the end of a pipe that the
//! process holds open, then stops the server and removes its files.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const URL_VARIABLE: &str = "TAUTLINE_TEST_POSTGRES_URL";
const START_WAIT_MAX: Duration = Duration::from_secs(60);

struct Server {
    /// Ends in the server's root: a database's name is appended.
    url: String,
    _running: Option<(Child, ChildStdin)>,
}

/// The URL of a new, empty database; None where there is no PostgreSQL, which has been said on stderr.
pub async fn new_database() -> Option<String> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(|| match find_or_start() {
        Ok(server) => Some(server),
        Err(why) => {
            // Past the test harness, which keeps what passing tests print to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED: PostgreSQL tests: {why}");
            None
        }
    });
    let server = server.as_ref()?;
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("tautline_test_{}_{nanos:x}_{number}", std::process::id());
    create_database(&server.url, &name).await;
    Some(with_database(&server.url, &name))
}

fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let scheme = address.find("://").map_or(0, |place| place + 3);
    let root = address[scheme..].find('/').map_or(address, |place| &address[..scheme + place]);
    match query {
        Some(query) => format!("{root}/{name}?{query}"),
        None => format!("{root}/{name}"),
    }
}

async fn create_database(url: &str, name: &str) {
    use sea_orm::{ConnectionTrait, Database};
    let deadline = Instant::now() + START_WAIT_MAX;
    let db = loop {
        match Database::connect(url).await {
            Ok(db) => break db,
            Err(error) if Instant::now() > deadline => panic!("PostgreSQL does not answer: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    db.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database for the test");
    db.close().await.expect("closing");
}

fn find_or_start() -> Result<Server, String> {
    if let Ok(url) = std::env::var(URL_VARIABLE) {
        return Ok(Server { url, _running: None });
    }
    let programs = programs().ok_or_else(|| format!("neither {URL_VARIABLE} nor the programs initdb and postgres"))?;
    start(&programs)
}

/// The folder of `initdb` and `postgres`: of several versions the newest.
pub fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    installed.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version)
    });
    folders.extend(installed);
    folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

fn start(programs: &Path) -> Result<Server, String> {
    let folder = std::env::temp_dir().join(format!("tautline-postgres-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut shell = as_somebody(&folder, Path::new("sh"))?;
    let port = free_port().map_err(|error| format!("no free port: {error}"))?;
    let script = r#"
        cd "$1" || exit 1
        "$2/initdb" -D "$1/data" -U tautline --auth=trust --encoding=UTF8 --no-locale --no-sync >"$1/log" 2>&1 || exit 1
        "$2/postgres" -D "$1/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
            -c fsync=on -c max_connections=300 </dev/null >>"$1/log" 2>&1 &
        server=$!
        cat >/dev/null
        kill -QUIT $server
        wait $server
        rm -rf "$1"
    "#;
    shell.args(["-c", script, "sh"]).arg(&folder).arg(programs).arg(port.to_string());
    let running = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut running = running.map_err(|error| format!("cannot start a shell for PostgreSQL: {error}"))?;
    let pipe = running.stdin.take().ok_or("no pipe to the shell")?;
    let deadline = Instant::now() + START_WAIT_MAX;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline || running.try_wait().is_ok_and(|status| status.is_some()) {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(format!("PostgreSQL did not start: {}", log.lines().last().unwrap_or_default()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let url = format!("postgres://tautline@127.0.0.1:{port}/postgres");
    Ok(Server { url, _running: Some((running, pipe)) })
}

pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The program as a user that PostgreSQL accepts, which is not root; the folder becomes that user's.
pub fn as_somebody(folder: &Path, program: &Path) -> Result<Command, String> {
    let root = user_id("root").map(|(root, _)| root);
    if root.is_none() || file_owner(Path::new("/proc/self")) != root {
        return Ok(Command::new(program));
    }
    let (user, group) = user_id("postgres").or_else(|| user_id("nobody")).ok_or("no user to run PostgreSQL as")?;
    chown(folder, Some(user), Some(group)).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]).arg(program);
    Ok(command)
}

fn file_owner(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|data| data.uid())
}

/// User and group number from the password file.
fn user_id(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
