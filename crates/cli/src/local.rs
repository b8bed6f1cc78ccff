//! Compiles a configuration directory in this process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use vane_core::compile::{AcmeHttpPort, Compiled, Families, Options, compile};
use vane_core::load::directory::{self, ConfigDir};
use vane_core::load::{EnvProblem, MAX_FILE_BYTES, RawContent};

/// Compiles a directory with these variables and those of its `.env`.
pub(crate) fn compile_directory(
    dir: &Path,
    variables: &BTreeMap<String, String>,
    allow_unset: bool,
) -> Compiled {
    let read = directory::read(&DiskDir(dir), variables);
    let is_on = |name: &str| read.variables.get(name).is_none_or(|value| value != "0");
    let families = Families { ipv4: is_on("VANE_BIND_IPV4"), ipv6: is_on("VANE_BIND_IPV6") };
    let port = read.variables.get("VANE_ACME_HTTP_PORT").and_then(|port| port.parse().ok());
    let acme_http_port = port.map_or_else(Default::default, AcmeHttpPort);
    let options = Options { env: read.variables, families, allow_unset, acme_http_port };
    compile(&read.files, &options)
}

struct DiskDir<'a>(&'a Path);

impl ConfigDir for DiskDir<'_> {
    fn list(&self, directory: &str) -> Result<Option<Vec<String>>, String> {
        let listed = fs::read_dir(self.0.join(directory)).and_then(|entries| {
            let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
            entries.map(|entry| entry.map(name)).collect()
        });
        match listed {
            Ok(names) => Ok(Some(names)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn read(&self, path: &str) -> Option<RawContent> {
        let path = self.0.join(path);
        match bounded(&path) {
            Ok(content) => Some(content),
            Err(error) if error.kind() == ErrorKind::NotFound => fs::symlink_metadata(&path)
                .is_ok()
                .then(|| RawContent::Unreadable("the symbolic link leads nowhere".to_owned())),
            Err(error) => Some(RawContent::Unreadable(error.to_string())),
        }
    }

    fn parse_env(&self, text: &[u8]) -> (Vec<(String, String)>, Vec<EnvProblem>) {
        let mut problems = Vec::new();
        let variables = dotenvy::from_read_iter(text).filter_map(|line| match line {
            Err(dotenvy::Error::LineParse(line, _)) => {
                problems.push(EnvProblem { line });
                None
            }
            line => line.ok(),
        });
        (variables.collect(), problems)
    }
}

fn bounded(path: &Path) -> io::Result<RawContent> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Ok(RawContent::Unreadable("it is not a regular file".to_owned()));
    }
    if found.len() > MAX_FILE_BYTES {
        return Ok(RawContent::TooLarge(found.len()));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(RawContent::Bytes(bytes))
}
