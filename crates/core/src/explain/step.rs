//! One question of a walk and its answer.

use crate::graph::dispatch::HostField;
use crate::graph::dump::words;
use crate::graph::facts::Facts;
use crate::graph::{FlowGraph, Node, NodeId, evaluate, read};
use crate::rules::condition::{Condition, Predicate};
use crate::value::field::Field;

/// One node that a walk passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedStep {
    /// Which.
    pub node: NodeId,
    /// The question, or the field that was looked up.
    pub asked: String,
    /// What came of it.
    pub answer: Answer,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A name or path was looked up.
    LookedUp {
        /// What the flow has there.
        saw: Option<String>,
        /// The bucket that covers it; none where only rules for everything are left.
        bucket: Option<String>,
    },
    /// A condition was asked.
    Asked {
        /// Whether it holds.
        holds: bool,
        /// Each predicate in it, what the flow has there, and whether it passes.
        saw: Vec<(String, Option<String>, bool)>,
    },
}

/// The step at a node, if it asks anything.
pub(super) fn of(
    graph: &FlowGraph,
    node: NodeId,
    next: NodeId,
    facts: &Facts<'_>,
) -> Option<ExplainedStep> {
    let (asked, answer) = match graph.node(node) {
        Node::Host(dispatch) => {
            let field = match dispatch.field {
                HostField::HttpHost => Field::HttpHost,
                HostField::TlsSni => Field::TlsSni,
            };
            let saw = value(&field, facts);
            let bucket = saw.as_deref().and_then(|host| dispatch.bucket(host));
            (field.to_string(), Answer::LookedUp { saw, bucket })
        }
        Node::Path(dispatch) => {
            let saw = value(&Field::HttpPath, facts);
            let bucket = saw.as_deref().and_then(|path| dispatch.bucket(path));
            (Field::HttpPath.to_string(), Answer::LookedUp { saw, bucket })
        }
        Node::Test { condition, yes, .. } => {
            let mut saw = Vec::new();
            leaves(condition, facts, &mut saw);
            (words::condition(condition), Answer::Asked { holds: next == *yes, saw })
        }
        _ => return None,
    };
    Some(ExplainedStep { node, asked, answer })
}

fn leaves(
    condition: &Condition,
    facts: &Facts<'_>,
    into: &mut Vec<(String, Option<String>, bool)>,
) {
    match condition {
        Condition::Test(predicate) => into.push(leaf(predicate, facts)),
        Condition::All(inner) | Condition::Any(inner) => {
            inner.iter().for_each(|each| leaves(each, facts, into));
        }
        Condition::Not(inner) => leaves(inner, facts, into),
    }
}

fn leaf(predicate: &Predicate, facts: &Facts<'_>) -> (String, Option<String>, bool) {
    let passes = evaluate::passes(predicate, facts);
    (predicate.field.to_string(), value(&predicate.field, facts), passes)
}

fn value(field: &Field, facts: &Facts<'_>) -> Option<String> {
    read::text(field, facts).map(std::borrow::Cow::into_owned)
}
