//! The forms of a graph that leave the process: text for people, JSON for tools, and the hash.

mod form;
mod text;
mod tls;
mod whole;
pub mod words;

use std::io::BufWriter;

use sha2::{Digest, Sha256};

use crate::graph::{FlowGraph, GraphHash, RuleInfo};

use self::form::{Meaning, RuleForm};
use self::whole::GraphForm;

/// The graph as a person reads it: listeners as trees, then rules, then upstreams. Grows with the
/// number of nodes: what several places lead to is shown once and referred to by its id. Lines
/// that follow one another at one depth are what a flow falls through.
pub fn text(graph: &FlowGraph) -> String {
    text::text(graph)
}

/// The whole graph as one object, with the ids of nodes.
pub fn json(graph: &FlowGraph) -> serde_json::Value {
    serde_json::to_value(GraphForm::of(graph)).expect("a form has only text keys")
}

/// What one rule means, as one text: equal for rules that mean the same in both graphs.
pub(crate) fn rule_meaning(graph: &FlowGraph, rule: &RuleInfo) -> String {
    serde_json::to_string(&RuleForm::meaning(graph, rule)).expect("a form has only text keys")
}

/// The form of a large graph is hashed piece by piece, never held whole.
const PIECE: usize = 1 << 14;

/// The hash over the JSON form of all that a graph means.
pub(crate) fn hash(graph: &FlowGraph) -> GraphHash {
    let mut sink = BufWriter::with_capacity(PIECE, Sha256::new());
    serde_json::to_writer(&mut sink, &Meaning(graph)).expect("a form has only text keys");
    let hash = sink.into_inner().unwrap_or_else(|_| unreachable!("a hash takes every byte"));
    GraphHash(hash.finalize().into())
}
