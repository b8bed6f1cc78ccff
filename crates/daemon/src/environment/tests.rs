use super::*;

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
    match Environment::read(&variables(pairs)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn without_variables_the_engine_has_its_own_defaults() {
    let environment = Environment::read(&variables(&[])).expect("nothing is set");
    assert_eq!(format!("{:?}", environment.engine), format!("{:?}", Settings::default()));
    assert_eq!(environment.families, Families { ipv4: true, ipv6: true });
    assert_eq!(environment.log.filter, "info");
    assert!(!environment.management.is_named && environment.doubts.is_empty());
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let set = [("VANE_WORKERS", ""), ("VANE_LOG", ""), ("VANE_BIND_IPV4", "")];
    assert_eq!(problems(&set), [""; 0]);
}

#[test]
fn every_bad_value_is_reported_at_once_with_its_range() {
    let set = [
        ("VANE_WORKERS", "0"),
        ("VANE_DRAIN_TIMEOUT_SECS", "30s"),
        ("VANE_SEC_HEADER_BYTES", "4096"),
        ("VANE_BIND_IPV4", "no"),
        ("VANE_LOG", "inof"),
        ("VANE_LOG_FORMAT", "xml"),
        ("VANE_STATE_DIR", "state"),
    ];
    let expected = [
        "VANE_WORKERS is `0`; it takes a whole number from 1 to 1024",
        "VANE_DRAIN_TIMEOUT_SECS is `30s`; it takes a whole number from 0 to 86400",
        "VANE_SEC_HEADER_BYTES is `4096`; it takes a whole number from 8192 to 1048576",
        "VANE_BIND_IPV4 is `no`; it takes `0` or `1`",
        "VANE_LOG is `inof`; it takes `off`, `error`, `warn`, `info`, `debug`, `trace`, or \
         directives such as `info,vane_engine=debug`",
        "VANE_LOG_FORMAT is `xml`; it takes `auto`, `text`, `json`, `journald`",
        "VANE_STATE_DIR is `state`; it takes an absolute path",
    ];
    let mut found = problems(&set);
    found.sort_by_key(|found| expected.iter().position(|expected| expected == found));
    assert_eq!(found, expected);
}

#[test]
fn numbers_are_digits_within_bounds() {
    for value in ["+5", "-1", " 5", "5 ", "1e3", "99999999999999999999", "1025"] {
        assert_eq!(problems(&[("VANE_WORKERS", value)]).len(), 1, "{value}");
    }
    assert_eq!(problems(&[("VANE_WORKERS", "1024")]), [""; 0]);
}

#[test]
fn one_family_has_to_stay() {
    let set = [("VANE_BIND_IPV4", "0"), ("VANE_BIND_IPV6", "0")];
    let expected = "VANE_BIND_IPV6 is `0`; it takes `1` where VANE_BIND_IPV4 is `0`: one family \
                    is needed";
    assert_eq!(problems(&set), [expected]);
}

#[test]
fn the_longest_pause_is_not_shorter_than_the_first() {
    let set = [("VANE_BIND_BACKOFF_INITIAL_MS", "10"), ("VANE_BIND_BACKOFF_MAX_MS", "9")];
    assert_eq!(problems(&set).len(), 1);
}

#[test]
fn levels_and_directives_are_filters() {
    for filter in ["debug", "WARN", "info,vane_engine=debug", "off", "vane_engine[flow]=trace"] {
        assert!(is_filter(filter), "{filter}");
    }
    for filter in ["verbose", "info,", "vane_engine=loud", "5x"] {
        assert!(!is_filter(filter), "{filter}");
    }
}

#[test]
fn a_slip_in_a_name_is_doubted_and_foreign_names_are_not() {
    let set = [("VANE_SEC_HEADER_BYTE", "9000"), ("VANE_TEST_X", "1"), ("VANE_SEC_ZZZZZZZZ", "1")];
    let environment = Environment::read(&variables(&set)).expect("no known variable is bad");
    let expected = [
        "VANE_SEC_HEADER_BYTE is no setting: did you mean VANE_SEC_HEADER_BYTES?",
        "VANE_SEC_ZZZZZZZZ is no setting: it is ignored",
    ];
    assert_eq!(environment.doubts, expected);
}

/// `UPDATE_GOLDEN=1` writes the table into the page.
#[test]
fn the_page_of_the_environment_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/environment.md");
    let page = std::fs::read_to_string(path).expect("the page exists");
    let (before, rest) = page.split_once(TABLE_BEGINS).expect("the page marks its table");
    let (_, after) = rest.split_once(TABLE_ENDS).expect("the page marks its table's end");
    let current = [before, TABLE_BEGINS, &*table::markdown(), TABLE_ENDS, after].concat();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(path, &current).expect("the page can be written");
    }
    assert!(page == current, "docs/environment.md is out of date: run with UPDATE_GOLDEN=1");
}

const TABLE_BEGINS: &str = "<!-- table -->\n";
const TABLE_ENDS: &str = "<!-- end of table -->\n";
