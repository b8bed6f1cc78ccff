//! Real nginx and HAProxy in front of an origin, for benchmarks.
//!
//! Neither can be asked which port the kernel gave it, so a port is found, let go and handed over.
//! Another process can take it in between; then the next one is tried. Only benchmarks, which
//! need these two, may do so.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::certs::Files;
use crate::child::pid_of;
use crate::wait;

/// A proxy that listens on loopback, ended when dropped.
#[derive(Debug)]
pub struct RealProxy {
    child: Child,
    addr: SocketAddr,
    _place: TempDir,
}

impl RealProxy {
    /// nginx with that many worker processes, keep-alive on both sides and no log; `None` when it
    /// is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start, with what it said.
    pub fn nginx(origin: SocketAddr, workers: usize) -> Option<Self> {
        start("/usr/sbin/nginx", |port, place| {
            let path = place.join("nginx.conf");
            write(&path, &nginx_config(origin, workers, port, place));
            vec!["-p".into(), text(place), "-c".into(), text(&path), "-e".into(), "stderr".into()]
        })
    }

    /// nginx with that many worker processes, which terminates TLS with this certificate, resumes
    /// sessions by tickets, and answers 204; `None` when it is not installed.
    ///
    /// # Panics
    /// When it is installed and does not start, with what it said.
    pub fn nginx_tls(workers: usize, files: &Files) -> Option<Self> {
        start("/usr/sbin/nginx", |port, place| {
            let path = place.join("nginx.conf");
            write(&path, &nginx_tls_config(workers, port, place, files));
            vec!["-p".into(), text(place), "-c".into(), text(&path), "-e".into(), "stderr".into()]
        })
    }

    /// HAProxy with that many threads, keep-alive on both sides and no log; `None` when it is not
    /// installed.
    ///
    /// # Panics
    /// When it is installed and does not start, with what it said.
    pub fn haproxy(origin: SocketAddr, threads: usize) -> Option<Self> {
        start("/usr/sbin/haproxy", |port, place| {
            let path = place.join("haproxy.cfg");
            write(&path, &haproxy_config(origin, threads, port));
            vec!["-db".into(), "-q".into(), "-f".into(), text(&path)]
        })
    }

    /// Where clients reach it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The process id of its first process, the root of its tree.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for RealProxy {
    fn drop(&mut self) {
        // nginx takes its workers along on TERM, and orphans them on KILL.
        let _ = kill_process(pid_of(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn start(program: &str, arrange: impl Fn(u16, &Path) -> Vec<String>) -> Option<RealProxy> {
    if !Path::new(program).exists() {
        return None;
    }
    let mut said = String::new();
    for _ in 0..TRIES {
        let place = tempfile::tempdir().expect("a temporary directory can be made");
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port_of_the_moment()));
        let args = arrange(addr.port(), place.path());
        let log = place.path().join("stderr");
        let child = spawn(program, &args, &log);
        if let Some(child) = listening(child, addr) {
            return Some(RealProxy { child, addr, _place: place });
        }
        said = fs::read_to_string(&log).unwrap_or_default();
    }
    panic!("{program} did not start {TRIES} times; it said: {said}")
}

fn port_of_the_moment() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn spawn(program: &str, args: &[String], log: &Path) -> Child {
    let log = fs::File::create(log).expect("a file can be made");
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("an installed program can be started")
}

/// The child once it listens; `None` when it has ended instead.
fn listening(mut child: Child, addr: SocketAddr) -> Option<Child> {
    let lives = wait::until_blocking("the proxy to listen", LIMIT, || {
        let connected = TcpStream::connect(addr).is_ok();
        let ended = child.try_wait().expect("a child can be waited for").is_some();
        (connected || ended).then_some(!ended)
    });
    lives.then_some(child)
}

fn nginx_config(origin: SocketAddr, workers: usize, port: u16, place: &Path) -> String {
    let servers = format!(
        "  upstream origin {{ server {origin}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}"
    );
    nginx_serving(&servers, workers, place)
}

fn nginx_tls_config(workers: usize, port: u16, place: &Path, files: &Files) -> String {
    let (cert, key) = (files.cert.display(), files.key.display());
    let servers = format!(
        "  server {{
    listen 127.0.0.1:{port} ssl backlog=1024;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_tickets on;
    return 204;
  }}"
    );
    nginx_serving(&servers, workers, place)
}

fn nginx_serving(servers: &str, workers: usize, place: &Path) -> String {
    let place = place.display();
    // A master that runs as root hands its workers to a user that cannot enter the directory.
    let user = if geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes {workers};
pid {place}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {place}/body;
  proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi;
  scgi_temp_path {place}/scgi;
  keepalive_requests 1000000000;
{servers}
}}
"
    )
}

fn haproxy_config(origin: SocketAddr, threads: usize, port: u16) -> String {
    format!(
        "global
  nbthread {threads}
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
  default_backend origin
backend origin
  server one {origin} pool-max-conn 256
"
    )
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file can be written");
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

const TRIES: usize = 5;
const LIMIT: Duration = Duration::from_secs(10);
