//! A PostgreSQL of our own, to be killed and started again.

use crate::server::postgres_support::{as_somebody, free_port, programs};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const UP_WITHIN: Duration = Duration::from_secs(60);

pub struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    postmaster: Option<Child>,
}

impl Cluster {
    /// `None` where its programs are not installed.
    pub fn new() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port().expect("a port");
        let mut cluster = Self { folder, programs, port, postmaster: None };
        let done = cluster
            .command("initdb")
            .args(["-U", "tautline", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"])
            .status()
            .expect("initdb runs");
        assert!(done.success(), "initdb");
        cluster.start();
        Some(cluster)
    }

    pub fn url(&self) -> String {
        format!("postgres://tautline@127.0.0.1:{}/postgres", self.port)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = as_somebody(self.folder.path(), &self.programs.join(program)).expect("a user to run it as");
        command.arg("-D").arg(self.folder.path().join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Until it takes connections. While processes of the one before still end, it refuses to start.
    pub fn start(&mut self) {
        let began = Instant::now();
        while began.elapsed() < UP_WITHIN {
            let mut command = self.command("postgres");
            command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
            command.args(["-c", "unix_socket_directories=", "-c", "fsync=on"]);
            let mut child = command.spawn().expect("postgres starts");
            while child.try_wait().expect("its state").is_none() {
                if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                    self.postmaster = Some(child);
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL did not come up within {UP_WITHIN:?}");
    }

    /// SIGKILL to the postmaster: its children follow it as they notice.
    pub fn kill(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            postmaster.kill().expect("killed");
            postmaster.wait().expect("its end");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill();
        // Its children write until they notice.
        std::thread::sleep(Duration::from_millis(500));
    }
}
