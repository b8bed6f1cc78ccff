//! Which files of a configuration directory count, and which variables hold for them.
//!
//! Reading is done through [`ConfigDir`], which a binary implements over its file system.

use std::collections::BTreeMap;

use super::{EnvProblem, Files, RawContent, RawFile};

/// What a binary can do with a configuration directory. Paths are relative to it, with `/`.
pub trait ConfigDir {
    /// The names in a directory, in any order; `""` is the configuration directory itself.
    /// `None` if there is no such directory.
    ///
    /// # Errors
    /// The operating system's words if it cannot be listed.
    fn list(&self, directory: &str) -> Result<Option<Vec<String>>, String>;

    /// The content of a file; at most [`MAX_FILE_BYTES`](super::MAX_FILE_BYTES) are read. `None`
    /// if nothing is there; a symbolic link that leads nowhere is unreadable.
    fn read(&self, path: &str) -> Option<RawContent>;

    /// The variables of the text of an `.env` file, and its problems, each in their order.
    fn parse_env(&self, text: &[u8]) -> (Vec<(String, String)>, Vec<EnvProblem>);
}

/// A configuration directory as it was read.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// The files that count. What could not be listed is among them, as unreadable.
    pub files: Files,
    /// The environment, and below it what `.env` adds.
    pub variables: BTreeMap<String, String>,
    /// Whether there is a directory `rules`.
    pub has_rules: bool,
}

/// Reads what counts in a directory: `config.json`, `rules/*.json` without hidden files, `.env`.
/// A variable of `environment` wins over `.env`, and the first of several in `.env` over the rest.
pub fn read(dir: &impl ConfigDir, environment: &BTreeMap<String, String>) -> Directory {
    let mut directory = Directory { variables: environment.clone(), ..Directory::default() };
    directory.read_root(dir);
    directory.read_rules(dir);
    directory.read_env(dir);
    directory
}

impl Directory {
    fn read_root(&mut self, dir: &impl ConfigDir) {
        match dir.list("") {
            Ok(Some(_)) => {}
            Ok(None) => return self.unreadable(ROOT, "there is no such directory".to_owned()),
            Err(reason) => return self.unreadable(ROOT, reason),
        }
        let raw = |content| RawFile { path: CONFIG.to_owned(), content };
        self.files.config = dir.read(CONFIG).map(raw);
    }

    fn read_rules(&mut self, dir: &impl ConfigDir) {
        let names = match dir.list(RULES) {
            Ok(names) => names,
            Err(reason) => return self.unreadable(RULES, reason),
        };
        self.has_rules = names.is_some();
        let mut names = names.unwrap_or_default();
        names.retain(|name| name.ends_with(".json") && !name.starts_with('.'));
        names.sort();
        for path in names.into_iter().map(|name| format!("{RULES}/{name}")) {
            match dir.read(&path) {
                Some(content) => self.files.rules.push(RawFile { path, content }),
                None => self.unreadable(&path, "it went away while it was read".to_owned()),
            }
        }
    }

    fn read_env(&mut self, dir: &impl ConfigDir) {
        let Some(content) = dir.read(ENV) else { return };
        if let RawContent::Bytes(text) = &content {
            let (variables, problems) = dir.parse_env(text);
            for (name, value) in variables {
                self.variables.entry(name).or_insert(value);
            }
            self.files.env_problems = problems;
        }
        self.files.env_file = Some(RawFile { path: ENV.to_owned(), content });
    }

    fn unreadable(&mut self, path: &str, reason: String) {
        let content = RawContent::Unreadable(reason);
        self.files.rules.push(RawFile { path: path.to_owned(), content });
    }
}

const ROOT: &str = ".";
const CONFIG: &str = "config.json";
const RULES: &str = "rules";
const ENV: &str = ".env";

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of texts. A path that ends in `/` is a directory.
    struct Texts(&'static [(&'static str, &'static str)]);

    impl ConfigDir for Texts {
        fn list(&self, directory: &str) -> Result<Option<Vec<String>>, String> {
            let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
            let inside = self.0.iter().filter_map(|(path, _)| path.strip_prefix(&*prefix));
            let names: Vec<_> = inside
                .filter(|n| !n.trim_end_matches('/').contains('/'))
                .map(String::from)
                .collect();
            Ok((!names.is_empty()).then_some(names))
        }

        fn read(&self, path: &str) -> Option<RawContent> {
            let (_, text) = self.0.iter().find(|(known, _)| *known == path)?;
            Some(RawContent::Bytes((*text).into()))
        }

        fn parse_env(&self, text: &[u8]) -> (Vec<(String, String)>, Vec<EnvProblem>) {
            let text = String::from_utf8_lossy(text);
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            (pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), Vec::new())
        }
    }

    fn read_texts(texts: &'static [(&'static str, &'static str)]) -> Directory {
        let environment = BTreeMap::from([("A".to_owned(), "from outside".to_owned())]);
        read(&Texts(texts), &environment)
    }

    #[test]
    fn rules_are_json_files_that_are_not_hidden_in_lexical_order() {
        let directory = read_texts(&[
            ("config.json", "{}"),
            ("rules/b.json", ""),
            ("rules/a.json", ""),
            ("rules/.a.json", ""),
            ("rules/a.json.swp", ""),
            ("rules/README", ""),
        ]);
        let paths: Vec<_> = directory.files.rules.iter().map(|file| &*file.path).collect();
        assert_eq!(paths, ["rules/a.json", "rules/b.json"]);
        assert!(directory.has_rules && directory.files.config.is_some());
    }

    #[test]
    fn the_environment_wins_over_the_env_file_and_its_first_line_over_later_ones() {
        let directory = read_texts(&[(".env", "A=1\nB=2\nB=3\n")]);
        assert_eq!(directory.variables["A"], "from outside");
        assert_eq!(directory.variables["B"], "2");
    }

    #[test]
    fn a_directory_that_is_not_there_is_unreadable_but_missing_rules_are_not() {
        let directory = read_texts(&[]);
        let expected = RawContent::Unreadable("there is no such directory".to_owned());
        assert_eq!(directory.files.rules[0].content, expected);
        let directory = read_texts(&[("config.json", "{}")]);
        assert!(directory.files.rules.is_empty() && !directory.has_rules);
    }
}
