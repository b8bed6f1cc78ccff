//! An explanation as text and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::explain::{Answer, End, ExplainedStep, Explanation, Walk};
use crate::graph::dump::words;

impl Explanation {
    /// For people: a block for each walk, one line for each step with the id of its node.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.described);
        if self.walks.is_empty() {
            text.push_str("no listener fits\n");
        }
        for walk in &self.walks {
            let lines =
                [walk.start()].into_iter().chain(walk.steps.iter().map(step)).chain(end(&walk.end));
            for line in lines {
                writeln!(text, "{line}").expect("a String takes every write");
            }
        }
        text
    }

    /// For tools: `{described, walks: [{listeners, steps: [{node, asked, …}], end}]}`.
    pub fn json(&self) -> Value {
        let walks: Vec<_> = self.walks.iter().map(Walk::json).collect();
        json!({ "described": self.described, "walks": walks })
    }
}

impl Walk {
    fn start(&self) -> String {
        format!("listener {}", self.addresses().join(", "))
    }

    fn addresses(&self) -> Vec<String> {
        self.listeners.iter().map(|(transport, address)| format!("{transport} {address}")).collect()
    }

    fn json(&self) -> Value {
        let steps: Vec<_> = self.steps.iter().map(step_json).collect();
        json!({ "listeners": self.addresses(), "steps": steps, "end": end_json(&self.end) })
    }
}

fn step(step: &ExplainedStep) -> String {
    let (node, asked) = (step.node, &step.asked);
    match &step.answer {
        Answer::LookedUp { saw, bucket } => {
            let saw = saw.as_deref().map_or("not there".to_owned(), words::quoted);
            match bucket {
                Some(bucket) => format!("  {node} {asked} is {saw}: rules for {bucket}"),
                None => format!("  {node} {asked} is {saw}: no rule for it alone"),
            }
        }
        Answer::Asked { holds, saw } => {
            let answer = if *holds { "yes" } else { "no" };
            let seen = saw.iter().map(|one| seen(one, saw.len() == 1)).collect::<Vec<_>>();
            format!("  {node} {asked}? {answer}, {}", seen.join(", "))
        }
    }
}

fn seen((field, value, passes): &(String, Option<String>, bool), alone: bool) -> String {
    let value = value.as_deref().map_or("not there".to_owned(), words::quoted);
    match (alone, passes) {
        (true, _) => format!("it is {value}"),
        (false, true) => format!("{field} is {value} (passes)"),
        (false, false) => format!("{field} is {value} (fails)"),
    }
}

fn end(end: &End) -> Vec<String> {
    match end {
        End::Rule { name, place, effects } => {
            let rule = format!("  rule {name} at {place}");
            let effects = effects.iter().map(|effect| format!("    {effect}"));
            [rule].into_iter().chain(effects).collect()
        }
        End::ServesHttp => vec!["  serves HTTP; describe a request to go on".to_owned()],
        End::NotFound { status } => vec![format!("  no rule matches: answers {status}")],
        End::Closed => vec!["  no rule matches: closes the connection".to_owned()],
    }
}

fn step_json(step: &ExplainedStep) -> Value {
    let mut object = json!({ "node": step.node.to_string(), "asked": step.asked });
    match &step.answer {
        Answer::LookedUp { saw, bucket } => {
            object["saw"] = json!(saw);
            object["bucket"] = json!(bucket);
        }
        Answer::Asked { holds, saw } => {
            let predicates = saw.iter().map(
                |(field, value, passes)| json!({ "field": field, "saw": value, "passes": passes }),
            );
            object["holds"] = json!(holds);
            object["predicates"] = predicates.collect();
        }
    }
    object
}

fn end_json(end: &End) -> Value {
    match end {
        End::Rule { name, place, effects } => {
            json!({ "kind": "rule", "rule": name, "place": place, "effects": effects })
        }
        End::ServesHttp => json!({ "kind": "serves_http" }),
        End::NotFound { status } => json!({ "kind": "not_found", "status": status }),
        End::Closed => json!({ "kind": "closed" }),
    }
}
