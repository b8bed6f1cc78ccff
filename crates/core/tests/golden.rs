//! Golden files: a configuration directory, a line of dashes, what the compiler has to say.
//!
//! `UPDATE_GOLDEN=1` rewrites the expectations. A golden file is a sequence of input files, each
//! headed by `//- PATH`, and of directives:
//!
//! ```text
//! //- env NAME=value                     a variable
//! //- allow-unset                        unset variables are tolerated
//! //- bytes ff fe PATH                   a file of these bytes
//! //- too-large SIZE PATH                a file that was not read for its size
//! //- unreadable "WORDS" PATH            a file that the operating system refused
//! //- generate nested N PATH             a rule nested N deep
//! //- generate problems N PATH           a list of N rules with one problem each
//! //- generate long-line N PATH          a rule with a problem behind N characters
//! //- env-problem LINE                   what the reader of `.env` stumbled over
//! //- suppress ipv4|ipv6                 a family without listeners
//! //- explain WORDS [| HEADER LINE]…     ask about a flow in place of showing the graph;
//!                                        `| from ADDRESS` and `| at LISTENER` say more of it
//! //- plan                               what stands above is the directory that is replaced
//! ```

#![expect(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use vane_core::{
    compile::{Compiled, Options, compile},
    diagnostic::{
        code::{Code, Severity},
        render,
    },
    explain::{Described, explain},
    graph::{FlowGraph, dump},
    load::{EnvProblem, Files, RawContent, RawFile},
    plan::plan,
};

#[test]
fn every_golden_file_says_what_the_compiler_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = String::new();
    for path in golden_files() {
        let text = fs::read_to_string(&path).unwrap();
        let (input, expected) = split(&text);
        let actual = produce(input);
        if actual == expected {
            continue;
        }
        if update {
            fs::write(&path, format!("{}\n{DASHES}\n{actual}", input.trim_end())).unwrap();
        } else {
            let name = path.display();
            write!(differences, "\n{name}\nexpected:\n{expected}\nfound:\n{actual}").unwrap();
        }
    }
    assert!(differences.is_empty(), "UPDATE_GOLDEN=1 accepts these:\n{differences}");
}

#[test]
fn every_golden_file_named_after_a_code_shows_it() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return;
    }
    for path in golden_files() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let longest = |code: &&Code| (name.starts_with(code.as_str()), code.as_str().len());
        let code = Code::ALL.iter().max_by_key(longest).unwrap();
        if name.starts_with(code.as_str()) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(split(&text).1.contains(&format!("[{code}]")), "{name}");
        }
    }
}

#[test]
fn the_example_of_a_page_has_no_other_problem_than_that_of_the_page() {
    for &code in Code::ALL {
        let Some((_, example)) = code.page().split_once("```json\n") else { continue };
        let example = example.split("```").next().unwrap();
        let mut input = Input::default();
        input.add("rules/example.json", RawContent::Bytes(example.into()));
        let Compiled { diagnostics, .. } = input.compile();
        let other = diagnostics
            .sorted()
            .into_iter()
            .find(|found| found.code != code && found.severity == Severity::Error);
        assert_eq!(other, None, "{code}");
    }
}

#[test]
fn json_has_the_same_problems_in_the_same_order() {
    for path in golden_files() {
        let text = fs::read_to_string(&path).unwrap();
        let input = Input::parse(split(&text).0);
        let Compiled { diagnostics, sources, .. } = input.compile();
        let json = render::json(&diagnostics, &sources);
        let codes: Vec<_> =
            json.as_array().unwrap().iter().map(|object| object["code"].clone()).collect();
        let sorted: Vec<_> = diagnostics.sorted().iter().map(|d| d.code.as_str().into()).collect();
        assert_eq!(codes, sorted as Vec<serde_json::Value>, "{}", path.display());
    }
}

/// What stands below the dashes: the diagnostics, then what was asked for.
fn produce(text: &str) -> String {
    let (old, new) = match text.split_once("//- plan\n") {
        Some((old, new)) => (Some(Input::parse(old).compile()), new),
        None => (None, text),
    };
    let input = Input::parse(new);
    let compiled = input.compile();
    let mut output = render::text(&compiled.diagnostics, &compiled.sources, false);
    if let Some(graph) = &compiled.graph {
        if !output.is_empty() {
            output.push('\n');
        }
        output.push_str(&match &old {
            Some(old) => plan(old.graph.as_ref(), graph).text(),
            None => input.answer(graph),
        });
    }
    output
}

#[derive(Default)]
struct Input {
    files: Files,
    options: Options,
    explain: Vec<String>,
}

impl Input {
    fn compile(&self) -> Compiled {
        compile(&self.files, &self.options)
    }

    /// The explanations that are asked for, else the graph.
    fn answer(&self, graph: &FlowGraph) -> String {
        if self.explain.is_empty() {
            return dump::text(graph);
        }
        let texts = self.explain.iter().map(|words| explain(graph, &described(words)).text());
        texts.collect::<Vec<_>>().join("\n")
    }

    fn parse(text: &str) -> Self {
        let mut input = Self::default();
        let sections = text.split("//- ").skip(1);
        for section in sections {
            let (head, body) = section.split_once('\n').unwrap_or((section, ""));
            input.section(head.trim_end(), body);
        }
        input
    }

    fn section(&mut self, head: &str, body: &str) {
        let (word, rest) = head.split_once(' ').unwrap_or((head, ""));
        match word {
            "env" => {
                let (name, value) = rest.split_once('=').expect("env NAME=value");
                self.options.env.insert(name.to_owned(), value.to_owned());
            }
            "allow-unset" => self.options.allow_unset = true,
            "suppress" if rest == "ipv4" => self.options.families.ipv4 = false,
            "suppress" => self.options.families.ipv6 = false,
            "explain" => self.explain.push(rest.to_owned()),
            "env-problem" => {
                self.files.env_problems.push(EnvProblem { line: rest.to_owned() });
            }
            "bytes" | "too-large" | "unreadable" | "generate" => {
                let (argument, path) = rest.rsplit_once(' ').expect("an argument and a path");
                self.add(path, content(word, argument));
            }
            _ => self.add(head, RawContent::Bytes(body.into())),
        }
    }

    fn add(&mut self, path: &str, content: RawContent) {
        let file = RawFile { path: path.to_owned(), content };
        match path {
            "config.json" => self.files.config = Some(file),
            ".env" => self.files.env_file = Some(file),
            _ => self.files.rules.push(file),
        }
    }
}

fn described(words: &str) -> Described {
    let mut parts = words.split(" | ");
    let what = parts.next().unwrap();
    let mut described = match what {
        "connection" => Described::connection(),
        what => Described::parse(what).unwrap(),
    };
    for part in parts {
        match part.split_once(' ') {
            Some(("from", address)) => described.remote.set_ip(address.parse().unwrap()),
            Some(("at", listener)) => described.listener = Some(listener.into()),
            _ => described.header(part).unwrap(),
        }
    }
    described
}

fn content(directive: &str, argument: &str) -> RawContent {
    match directive {
        "bytes" => RawContent::Bytes(
            argument.split(' ').map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect(),
        ),
        "too-large" => RawContent::TooLarge(argument.parse().unwrap()),
        "unreadable" => RawContent::Unreadable(argument.trim_matches('"').to_owned()),
        _ => {
            let (kind, count) = argument.split_once(' ').expect("generate KIND N PATH");
            RawContent::Bytes(generate(kind, count.parse().unwrap()).into())
        }
    }
}

fn generate(kind: &str, count: usize) -> String {
    match kind {
        "nested" => {
            let (open, close) = ("{ \"not\": ".repeat(count), " }".repeat(count));
            format!("{{ \"name\": \"deep\", \"close\": true,\n  \"match\": {open}{{}}{close} }}\n")
        }
        "problems" => {
            let rules: Vec<_> =
                (0..count).map(|n| format!("{{ \"name\": \"r{n}\", \"clos\": true }}")).collect();
            format!("[{}]\n", rules.join(",\n"))
        }
        "long-line" => {
            let comment = "long ".repeat(count / 5);
            format!(
                "{{ \"name\": \"r\", \"comment\": \"{comment}\", \"clos\": true, \"listen\": \":80\" }}"
            )
        }
        _ => panic!("generate {kind} is not known"),
    }
}

fn split(golden: &str) -> (&str, &str) {
    match golden.split_once(&format!("\n{DASHES}\n")) {
        Some((input, expected)) => (input, expected),
        None => (golden, ""),
    }
}

fn golden_files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "golden"))
        .collect();
    files.sort();
    files
}

const DASHES: &str = "----------------------------------------";
