//! What the compiler finds out about rules before it builds nodes: which phase each belongs to,
//! in which order they are asked, and which of them nothing can reach.

pub(crate) mod challenges;
mod implies;
pub(crate) mod layer;
pub(crate) mod order;
pub(crate) mod shadow;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

use crate::compile::Families;
use crate::graph::{ListenerTls, RuleId};
use crate::rules::tls::RuleTls;
use crate::rules::{Bind, Rule};
use crate::value::listen_addr::Transport;

use self::layer::Phase;
use self::order::Branch;

/// Listeners that the same rules are reached through.
pub(crate) struct Group<'r> {
    /// The sockets, sorted.
    pub(crate) sockets: Vec<Socket<'r>>,
    /// What raw rules ask, in order.
    pub(crate) raw: Vec<Branch<'r>>,
    /// What raw rules ask once TLS is terminated, in order.
    pub(crate) decrypted: Vec<Branch<'r>>,
    /// What HTTP rules ask, in order.
    pub(crate) http: Vec<Branch<'r>>,
    /// What the rules that ask for TLS ask for; none in clear.
    pub(crate) tls: Option<ListenerTls>,
}

/// One socket of a [`Group`].
#[derive(Clone, Copy)]
pub(crate) struct Socket<'r> {
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
    /// The first place that asks for it.
    pub(crate) bind: &'r Bind,
}

/// The listeners of all rules, grouped by their rules, in the order of their first socket.
/// Suppressed families have none.
pub(crate) fn groups<'r>(rules: &'r [Rule], families: Families) -> Vec<Group<'r>> {
    let mut by_rules: BTreeMap<Vec<RuleId>, Vec<Socket<'r>>> = BTreeMap::new();
    for (socket, members) in sockets(rules, families) {
        by_rules.entry(members).or_default().push(socket);
    }
    let mut groups: Vec<_> =
        by_rules.into_iter().map(|(members, sockets)| group(rules, &members, sockets)).collect();
    groups.sort_by_key(|group| group.sockets.first().map(|first| sort_key(first.bind)));
    groups
}

/// A socket and the rules that are reached through it.
type Member<'r> = (Socket<'r>, Vec<RuleId>);

fn sockets<'r>(rules: &'r [Rule], families: Families) -> Vec<Member<'r>> {
    let mut found: BTreeMap<(&str, SocketAddr), Member<'r>> = BTreeMap::new();
    for (id, rule) in (0..).map(RuleId).zip(rules) {
        for bind in rule.binds.iter().filter(|bind| families.allow(bind.address)) {
            let socket = Socket { transport: bind.transport, address: bind.address, bind };
            let (_, members) = found.entry(sort_key(bind)).or_insert((socket, Vec::new()));
            if members.last() != Some(&id) {
                members.push(id);
            }
        }
    }
    found.into_values().collect()
}

fn sort_key(bind: &Bind) -> (&'static str, SocketAddr) {
    (bind.transport.as_str(), bind.address)
}

fn group<'r>(rules: &'r [Rule], members: &[RuleId], sockets: Vec<Socket<'r>>) -> Group<'r> {
    let (mut raw, mut decrypted, mut http) = (Vec::new(), Vec::new(), Vec::new());
    for &id in members {
        let rule = &rules[id.0 as usize];
        let phase = Phase::of(rule);
        let into = match phase {
            Phase::Raw => &mut raw,
            Phase::Decrypted => &mut decrypted,
            Phase::Http => &mut http,
        };
        into.extend(Branch::all(id, rule, phase));
    }
    for branches in [&mut raw, &mut decrypted, &mut http] {
        branches.sort_by_cached_key(Branch::turn);
    }
    let asked = members.iter().filter_map(|id| rules[id.0 as usize].tls.as_ref());
    let tls = tls(asked).map(|tls| ListenerTls { http: !http.is_empty(), ..tls });
    Group { sockets, raw, decrypted, http, tls }
}

/// What rules ask for together. Where two ask for one name, the first one's certificate serves.
fn tls<'r>(asked: impl Iterator<Item = &'r RuleTls>) -> Option<ListenerTls> {
    let mut asked = asked.peekable();
    asked.peek()?;
    let mut tls = ListenerTls::default();
    let mut seen = HashSet::new();
    for rule in asked {
        let named = rule.names.iter().filter(|name| seen.insert(*name));
        tls.named.extend(named.map(|name| (name.clone(), rule.serving.clone())));
        if rule.names.is_empty() && !tls.unnamed.contains(&rule.serving) {
            tls.unnamed.push(rule.serving.clone());
        }
        if rule.default && tls.default.is_none() {
            tls.default = Some(rule.serving.clone());
        }
    }
    Some(tls)
}
