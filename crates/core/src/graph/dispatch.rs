//! Nodes that choose among any number of rules at constant cost.

use crate::table::Table;

use crate::graph::NodeId;

/// Which name a [`HostDispatch`] looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostField {
    /// The host of a request.
    HttpHost,
    /// The server name of a TLS ClientHello.
    TlsSni,
}

/// Chooses by a host name. Where a bucket's own rules do not match, its chain leads on to the
/// next less exact bucket, so one lookup is enough.
#[derive(Debug)]
pub struct HostDispatch {
    /// The name that is looked at.
    pub field: HostField,
    /// Whole names, lower case.
    pub exact: Table<Box<str>, NodeId>,
    /// `*.example.com`, kept as `example.com`: one label more matches.
    pub one_label: Table<Box<str>, NodeId>,
    /// Names below these, at any depth, kept without the leading dot.
    pub suffixes: Table<Box<str>, NodeId>,
    /// For every other name, and where there is none.
    pub otherwise: NodeId,
}

impl HostDispatch {
    /// Where a flow with this name goes on: the most exact bucket that covers it.
    pub fn choose(&self, host: Option<&str>) -> NodeId {
        let Some(host) = host else { return self.otherwise };
        if let Some(&node) = self.exact.get(host) {
            return node;
        }
        self.below(host).unwrap_or(self.otherwise)
    }

    /// The name of the bucket that [`Self::choose`] chooses, as it would be written.
    pub fn bucket(&self, host: &str) -> Option<String> {
        if self.exact.contains_key(host) {
            return Some(host.to_owned());
        }
        let (label, parent) = host.split_once('.')?;
        if self.one_label.contains_key(parent) && !label.is_empty() {
            return Some(format!("*.{parent}"));
        }
        let mut parents = std::iter::successors(Some(parent), |name| parent_domain(name));
        parents.find(|name| self.suffixes.contains_key(*name)).map(|name| format!(".{name}"))
    }

    /// Every name as it would be written, and where it leads: exact ones, `*.` ones, suffixes;
    /// each kind sorted.
    pub fn entries(&self) -> Vec<(String, NodeId)> {
        let exact = sorted(&self.exact).map(|(name, node)| (name.to_owned(), node));
        let one_label = sorted(&self.one_label).map(|(name, node)| (format!("*.{name}"), node));
        let suffixes = sorted(&self.suffixes).map(|(name, node)| (format!(".{name}"), node));
        exact.chain(one_label).chain(suffixes).collect()
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = NodeId> {
        let named = [&self.exact, &self.one_label, &self.suffixes].into_iter();
        named.flat_map(Table::values).copied().chain([self.otherwise])
    }

    fn below(&self, host: &str) -> Option<NodeId> {
        let (label, mut parent) = host.split_once('.')?;
        if let Some(&node) = self.one_label.get(parent).filter(|_| !label.is_empty()) {
            return Some(node);
        }
        if self.suffixes.is_empty() {
            return None;
        }
        loop {
            if let Some(&node) = self.suffixes.get(parent) {
                return Some(node);
            }
            parent = parent_domain(parent)?;
        }
    }
}

/// `example.com` of `www.example.com`; none where there is no dot.
pub fn parent_domain(host: &str) -> Option<&str> {
    host.split_once('.').map(|(_, parent)| parent)
}

/// Chooses by a normalised path. As with hosts, the chains of less exact buckets follow those of
/// more exact ones, so one lookup is enough.
#[derive(Debug)]
pub struct PathDispatch {
    /// Whole paths.
    pub exact: Table<Box<str>, NodeId>,
    /// Prefixes at segment boundaries.
    pub prefixes: PathTrie,
    /// For every other path.
    pub otherwise: NodeId,
}

impl PathDispatch {
    /// Where a flow with this path goes on: the most exact bucket that covers it. No prefix
    /// covers the `*` of an `OPTIONS` request.
    pub fn choose(&self, path: &str) -> NodeId {
        if let Some(&node) = self.exact.get(path) {
            return node;
        }
        let below = path.starts_with('/').then(|| self.prefixes.longest(path)).flatten();
        below.unwrap_or(self.otherwise)
    }

    /// The name of the bucket that [`Self::choose`] chooses.
    pub fn bucket(&self, path: &str) -> Option<String> {
        if self.exact.contains_key(path) {
            return Some(path.to_owned());
        }
        let prefix = path.starts_with('/').then(|| self.prefixes.longest_prefix(path)).flatten();
        prefix.map(|prefix| format!("{prefix} or below"))
    }

    /// Every path and where it leads: exact ones, then prefixes; each kind sorted.
    pub fn entries(&self) -> Vec<(String, NodeId)> {
        let exact = sorted(&self.exact).map(|(path, node)| (path.to_owned(), node));
        let prefixes = self.prefixes.entries().into_iter();
        exact.chain(prefixes.map(|(path, node)| (format!("{path} or below"), node))).collect()
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = NodeId> {
        let below = self.prefixes.branches.iter().filter_map(|branch| branch.node);
        self.exact.values().copied().chain(below).chain([self.otherwise])
    }
}

fn sorted(names: &Table<Box<str>, NodeId>) -> impl Iterator<Item = (&str, NodeId)> {
    let mut sorted: Vec<_> = names.iter().map(|(name, &node)| (&**name, node)).collect();
    sorted.sort_unstable();
    sorted.into_iter()
}

/// Path prefixes by segment.
#[derive(Debug)]
pub struct PathTrie {
    branches: Vec<Branch>,
}

#[derive(Debug, Default)]
struct Branch {
    node: Option<NodeId>,
    children: Table<Box<str>, usize>,
}

impl PathTrie {
    /// A trie that covers no path.
    pub fn new() -> Self {
        Self { branches: vec![Branch::default()] }
    }

    /// Leads every path at or below `prefix` to `node`, unless a longer prefix does. A prefix of
    /// `/` or nothing covers every path.
    pub fn insert(&mut self, prefix: &str, node: NodeId) {
        let mut at = 0;
        for segment in segments(prefix) {
            at = self.child_or_insert(at, segment);
        }
        self.branches[at].node = Some(node);
    }

    /// The node of the longest prefix that covers `path`.
    pub fn longest(&self, path: &str) -> Option<NodeId> {
        let mut branch = &self.branches[0];
        let mut found = branch.node;
        for segment in segments(path) {
            let Some(&child) = branch.children.get(segment) else { break };
            branch = &self.branches[child];
            found = branch.node.or(found);
        }
        found
    }

    /// The longest prefix that covers `path`, with a leading `/`.
    fn longest_prefix(&self, path: &str) -> Option<String> {
        let (mut branch, mut walked) = (&self.branches[0], String::new());
        let mut found = branch.node.map(|_| "/".to_owned());
        for segment in segments(path) {
            let Some(&child) = branch.children.get(segment) else { break };
            branch = &self.branches[child];
            walked.push('/');
            walked.push_str(segment);
            found = branch.node.map(|_| walked.clone()).or(found);
        }
        found
    }

    /// Every prefix, with a leading `/`, and where it leads; sorted.
    pub fn entries(&self) -> Vec<(String, NodeId)> {
        let mut entries = Vec::new();
        self.collect(0, &mut String::new(), &mut entries);
        entries.sort();
        entries
    }

    fn child_or_insert(&mut self, at: usize, segment: &str) -> usize {
        if let Some(&child) = self.branches[at].children.get(segment) {
            return child;
        }
        let child = self.branches.len();
        self.branches.push(Branch::default());
        self.branches[at].children.insert(segment.into(), child);
        child
    }

    fn collect(&self, at: usize, prefix: &mut String, entries: &mut Vec<(String, NodeId)>) {
        let branch = &self.branches[at];
        if let Some(node) = branch.node {
            let whole = if prefix.is_empty() { "/" } else { prefix.as_str() };
            entries.push((whole.to_owned(), node));
        }
        for (segment, &child) in &branch.children {
            let length = prefix.len();
            prefix.push('/');
            prefix.push_str(segment);
            self.collect(child, prefix, entries);
            prefix.truncate(length);
        }
    }
}

impl Default for PathTrie {
    fn default() -> Self {
        Self::new()
    }
}

/// The segments of a path; an ending `/` counts for nothing.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let count = if path.is_empty() { 0 } else { usize::MAX };
    path.split('/').take(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_at_a_segment_boundary_wins() {
        let mut trie = PathTrie::new();
        trie.insert("/v1", NodeId(1));
        trie.insert("/v1/users", NodeId(2));
        assert_eq!(trie.longest("/v1"), Some(NodeId(1)));
        assert_eq!(trie.longest("/v1/"), Some(NodeId(1)));
        assert_eq!(trie.longest("/v1/usersx"), Some(NodeId(1)));
        assert_eq!(trie.longest("/v1/users/7"), Some(NodeId(2)));
        assert_eq!(trie.longest("/v10"), None);
    }

    #[test]
    fn the_root_prefix_covers_every_path() {
        let mut trie = PathTrie::new();
        trie.insert("/", NodeId(1));
        assert_eq!(trie.longest("/"), Some(NodeId(1)));
        assert_eq!(trie.longest("/anything/at/all"), Some(NodeId(1)));
    }

    #[test]
    fn a_host_goes_to_the_most_exact_bucket() {
        let to = |name: &str, node| Table::from_iter([(name.into(), NodeId(node))]);
        let hosts = HostDispatch {
            field: HostField::HttpHost,
            exact: to("a.example.com", 1),
            one_label: to("example.com", 2),
            suffixes: to("example.com", 3),
            otherwise: NodeId(0),
        };
        assert_eq!(hosts.choose(Some("a.example.com")), NodeId(1));
        assert_eq!(hosts.choose(Some("b.example.com")), NodeId(2));
        assert_eq!(hosts.choose(Some("c.b.example.com")), NodeId(3));
        assert_eq!(hosts.choose(Some("example.com")), NodeId(0));
        assert_eq!(hosts.choose(None), NodeId(0));
    }
}
