//! A document that points nowhere is wrong about the project.

use crate::repository::{Repository, Text};
use crate::violation::Violation;

/// Finds relative links in Markdown that lead to no file.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    let documents = repository.texts.iter().filter(|text| text.path.ends_with(".md"));
    documents.flat_map(|document| check_document(repository, document)).collect()
}

fn check_document(repository: &Repository, document: &Text) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (line, target) in targets(&document.text) {
        let is_found = resolve(&document.path, target).is_some_and(|path| repository.has(&path));
        if !is_found {
            violations.push(Violation {
                path: document.path.clone(),
                line,
                rule: "link",
                message: format!("the link `{target}` leads to no file"),
                way_out: "write the path relative to this document".to_owned(),
            });
        }
    }
    violations
}

/// The relative targets of a document with their lines; code is no link.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line_targets(line).into_iter().map(|target| (at + 1, target)));
        }
    }
    found.retain(|(_, target)| !target.is_empty() && !is_elsewhere(target));
    found
}

/// Targets of `[text](target "title")` and of `[name]: target`, without their anchors.
fn line_targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("](") {
        let is_code = line[..at].matches('`').count() % 2 == 1;
        let target = line[at + 2..].split([')', ' ']).next();
        found.extend(target.filter(|_| !is_code));
    }
    if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
        found.extend(target.split(' ').next());
    }
    let bare = found.into_iter().map(|target| target.trim_matches(['<', '>']));
    bare.map(|target| target.split('#').next().unwrap_or(target)).collect()
}

fn is_elsewhere(target: &str) -> bool {
    ["http:", "https:", "mailto:"].iter().any(|scheme| target.starts_with(scheme))
}

/// The path from the root of the repository; none when it leads out of it.
fn resolve(document: &str, target: &str) -> Option<String> {
    let dir = document.rsplit_once('/').map_or("", |(dir, _)| dir);
    let mut path: Vec<_> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(path.pop()?),
            part => path.push(part),
        }
    }
    Some(path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_and_directories_resolve() {
        assert_eq!(broken("[a](a.md), [b](../README.md#x), [c](../docs/), [d](#here)"), [""; 0]);
        assert_eq!(broken("[a]: a.md"), [""; 0]);
        assert_eq!(broken("[a](https://example.com/x) [b](mailto:a@example.com)"), [""; 0]);
    }

    #[test]
    fn a_link_to_nothing_is_refused() {
        assert_eq!(
            broken("see [a](b.md) and\n[c]: gone/d.md"),
            ["docs/index.md:1: b.md", "docs/index.md:2: gone/d.md"]
        );
        assert_eq!(broken("[out](../../etc/passwd)").len(), 1);
    }

    #[test]
    fn code_is_no_link() {
        assert_eq!(broken("`[a](b.md)`\n```\n[a](b.md)\n```\n"), [""; 0]);
    }

    fn broken(text: &str) -> Vec<String> {
        let files = [("README.md", ""), ("docs/a.md", ""), ("docs/index.md", text)];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let violations = check(&Repository::of(files)).into_iter();
        let targets = violations.map(|violation| {
            let target = violation.message.split('`').nth(1).unwrap_or_default().to_owned();
            format!("{}:{}: {target}", violation.path, violation.line)
        });
        targets.collect()
    }
}
