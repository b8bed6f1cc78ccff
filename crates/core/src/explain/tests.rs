use super::*;

#[test]
fn a_description_is_a_method_and_a_url() {
    let described = Described::parse("POST HTTPS://API.example.com:8443/a/../v%31?x=1").unwrap();
    let request = described.request.as_ref().unwrap();
    assert_eq!(request.method, "POST");
    assert_eq!(*request.host, *"api.example.com");
    assert_eq!(*request.path, *"/v1");
    assert_eq!(request.query.as_deref(), Some("x=1"));
    assert_eq!(described.sni.as_deref(), Some("api.example.com"));
    assert_eq!(described.to_string(), "POST https://api.example.com:8443/v1?x=1 from 127.0.0.1");
}

#[test]
fn a_url_alone_is_fetched() {
    let described = Described::parse("http://[::1]/").unwrap();
    let request = described.request.unwrap();
    assert_eq!((request.method.as_str(), &*request.host, request.port), ("GET", "[::1]", 80));
    assert_eq!(described.sni, None);
}

#[test]
fn a_host_line_changes_the_host_but_not_the_server_name() {
    let mut described = Described::parse("https://a.example/").unwrap();
    described.header("Host: B.example").unwrap();
    assert_eq!(described.request.as_ref().map(|request| &*request.host), Some("b.example"));
    assert_eq!(described.sni.as_deref(), Some("a.example"));
}

#[test]
fn what_is_not_understood_is_named() {
    let error = |words| Described::parse(words).unwrap_err();
    assert_eq!(error("G(T http://a/"), DescribeError::Method("G(T".into()));
    assert_eq!(error("GET ftp://a/"), DescribeError::Scheme);
    assert_eq!(error("/path"), DescribeError::Scheme);
    assert!(matches!(error("http://a/%zz"), DescribeError::Path(_)));
    let mut connection = Described::connection();
    assert_eq!(connection.header("A: b"), Err(DescribeError::NoRequest));
}
