//! The command line: text to a [`Task`].

use std::fmt;

use crate::check::Step;
use crate::image;

/// One task with its settings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Print [`USAGE`].
    Help,
    /// Check the whole project, or only the named steps when `only` is not empty.
    Test { only: Vec<Step> },
    /// Run every fuzz target for `seconds` each.
    Fuzz { seconds: u32 },
    /// Measure what vane costs.
    Bench,
    /// Build a package for Debian.
    Deb,
    /// Build the container image under that name.
    Image { tag: String },
}

/// A command line that names no task, or a task with settings it does not have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    NoTask,
    UnknownTask(String),
    UnknownOption { task: &'static str, option: String },
    MissingValue { option: &'static str },
    UnknownStep(String),
    BadSeconds(String),
}

/// Reads the arguments after the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Task, UsageError> {
    let mut args = args.into_iter();
    match args.next().as_deref() {
        None => Err(UsageError::NoTask),
        Some("help" | "--help" | "-h") => Ok(Task::Help),
        Some("test") => parse_test(args),
        Some("fuzz") => parse_fuzz(args),
        Some("bench") => alone(Task::Bench, "bench", args.next()),
        Some("deb") => alone(Task::Deb, "deb", args.next()),
        Some("image") => parse_image(args),
        Some(other) => Err(UsageError::UnknownTask(other.to_owned())),
    }
}

/// A task without options.
fn alone(task: Task, name: &'static str, more: Option<String>) -> Result<Task, UsageError> {
    match more {
        None => Ok(task),
        Some(option) => Err(UsageError::UnknownOption { task: name, option }),
    }
}

fn parse_test(mut args: impl Iterator<Item = String>) -> Result<Task, UsageError> {
    let mut only = Vec::new();
    while let Some(option) = args.next() {
        if option != "--only" {
            return Err(UsageError::UnknownOption { task: "test", option });
        }
        let names = args.next().ok_or(UsageError::MissingValue { option: "--only" })?;
        for name in names.split(',') {
            only.push(Step::named(name).ok_or_else(|| UsageError::UnknownStep(name.to_owned()))?);
        }
    }
    Ok(Task::Test { only })
}

fn parse_fuzz(mut args: impl Iterator<Item = String>) -> Result<Task, UsageError> {
    let mut seconds = DEFAULT_FUZZ_SECONDS;
    while let Some(option) = args.next() {
        if option != "--seconds" {
            return Err(UsageError::UnknownOption { task: "fuzz", option });
        }
        let text = args.next().ok_or(UsageError::MissingValue { option: "--seconds" })?;
        seconds = text.parse().ok().filter(|&n| n > 0).ok_or(UsageError::BadSeconds(text))?;
    }
    Ok(Task::Fuzz { seconds })
}

fn parse_image(mut args: impl Iterator<Item = String>) -> Result<Task, UsageError> {
    let mut tag = image::PRODUCT.to_owned();
    while let Some(option) = args.next() {
        if option != "--tag" {
            return Err(UsageError::UnknownOption { task: "image", option });
        }
        tag = args.next().ok_or(UsageError::MissingValue { option: "--tag" })?;
    }
    Ok(Task::Image { tag })
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTask => write!(f, "no task given"),
            Self::UnknownTask(task) => write!(f, "there is no task `{task}`"),
            Self::UnknownOption { task, option } => {
                write!(f, "the task `{task}` has no option `{option}`")
            }
            Self::MissingValue { option } => write!(f, "`{option}` wants a value"),
            Self::UnknownStep(step) => {
                let known: Vec<_> = Step::ALL.iter().map(|step| step.name()).collect();
                write!(f, "there is no step `{step}`; the steps are {}", known.join(", "))
            }
            Self::BadSeconds(text) => {
                write!(f, "`{text}` is not a number of seconds from 1 to {}", u32::MAX)
            }
        }
    }
}

pub(crate) const USAGE: &str = "\
usage: cargo xtask <task>

  test [--only STEP,...]   check everything that can be checked on this machine
                           steps: fmt clippy docs deny advisories tools build package images test
  fuzz [--seconds N]       run every target under fuzz/fuzz_targets for N seconds (60)
  bench                    measure what a compile, a walk and a proxied request cost
  deb                      build a package for Debian below target/debian
  image [--tag NAME]       build the container image, vane:dev unless named, and for tests
                           vane-pebble:local; asks no registry
";

const DEFAULT_FUZZ_SECONDS: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_without_options_means_every_step() {
        assert_eq!(read("test"), Ok(Task::Test { only: Vec::new() }));
    }

    #[test]
    fn steps_are_named_in_one_list() {
        let only = vec![Step::Fmt, Step::Clippy];
        assert_eq!(read("test --only fmt,clippy"), Ok(Task::Test { only }));
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_known_ones() {
        let error = read("test --only lint").unwrap_err();
        assert!(error.to_string().contains("fmt, clippy"), "{error}");
    }

    #[test]
    fn the_usage_names_every_step() {
        for step in Step::ALL {
            assert!(USAGE.contains(step.name()), "{}", step.name());
        }
    }

    #[test]
    fn fuzzing_takes_a_positive_number_of_seconds() {
        assert_eq!(read("fuzz --seconds 5"), Ok(Task::Fuzz { seconds: 5 }));
        assert_eq!(read("fuzz"), Ok(Task::Fuzz { seconds: 60 }));
        assert_eq!(read("fuzz --seconds 0"), Err(UsageError::BadSeconds("0".into())));
    }

    #[test]
    fn a_task_without_options_refuses_one() {
        assert_eq!(read("deb"), Ok(Task::Deb));
        let option = "--fast".to_owned();
        assert_eq!(read("deb --fast"), Err(UsageError::UnknownOption { task: "deb", option }));
    }

    #[test]
    fn an_image_may_be_named() {
        assert_eq!(read("image"), Ok(Task::Image { tag: "vane:dev".to_owned() }));
        assert_eq!(read("image --tag vane:1"), Ok(Task::Image { tag: "vane:1".to_owned() }));
        assert_eq!(read("image --tag"), Err(UsageError::MissingValue { option: "--tag" }));
        assert!(matches!(read("image vane:1"), Err(UsageError::UnknownOption { .. })));
    }

    fn read(line: &str) -> Result<Task, UsageError> {
        parse(line.split_whitespace().map(str::to_owned))
    }
}
