//! Hash tables that are quick for short keys.

use std::collections::HashMap;

/// A hash table whose keys come from the operator. Nobody else can insert into one, so its hash
/// need not withstand chosen keys; a request is only ever looked up.
pub type Table<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
