//! What arrives, and how it is asked.

use crate::support::*;

#[test]
fn what_is_delivered_arrives_and_leaves_the_spool() {
    let server = Server::start(|_| accepted());
    let sink = Sink::new(&server.url(), &[]);
    let records: Vec<_> = (1..=4).map(|seq| numbered(0, seq)).collect();
    deliver(&sink, &records);
    let requests = server.requests();
    let of = |target: &str| {
        let one: Vec<_> =
            requests.iter().filter(|it| it.target == target).collect();
        assert_eq!(one.len(), 1, "{target}");
        one[0].clone()
    };
    let (traces, logs) = (of("/v1/traces"), of("/v1/logs"));
    let id = |at: usize| records[at].id.clone();
    assert_eq!(traces.ids(), [id(1), id(3)]);
    assert_eq!(logs.ids(), [id(0), id(2)]);
    for request in [traces, logs] {
        assert_eq!(request.method, "POST");
        let header = |name| request.header(name);
        assert_eq!(header("content-type"), Some("application/x-protobuf"));
        assert_eq!(header("content-encoding"), Some("gzip"));
        let agent = concat!("uilog/", env!("CARGO_PKG_VERSION"));
        assert_eq!(header("user-agent"), Some(agent));
    }
    let stats = sink.stats();
    assert_eq!((stats.pending, stats.sent), (0, 4));
}
