//! Subscriptions by regular expression.

use trial_wire::messages::join_group_request::JoinGroupRequestProtocol;
use trial_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, JoinGroupRequest};
use trial_wire::{ErrorCode, ResponseKind};

use super::driver::{Driver, GROUP, alive, join, text, told};
use crate::group::GroupConfig;

fn driver() -> Driver {
    let topics = [("orders-eu", 2), ("orders-us", 1), ("refunds", 1), ("__consumer_offsets", 1)];
    Driver::new(GroupConfig::default(), &topics)
}

fn joins(member: &str, regex: &str) -> ConsumerGroupHeartbeatRequest {
    join(member).with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(text(regex)))
}

/// The answer's epoch and how many partitions it tells.
fn count(response: &ConsumerGroupHeartbeatResponse) -> (i32, Option<usize>) {
    let (epoch, partitions) = told(response);
    (epoch, partitions.map(|partitions| partitions.len()))
}

#[test]
fn an_expression_is_resolved_when_the_first_member_comes_with_it() {
    let mut driver = driver();
    assert_eq!(count(&driver.beat(joins("a", "orders-.*"))), (1, Some(3)));
    assert_eq!(
        driver.written(0),
        [
            "a said",
            "orders-.* is [\"orders-eu\", \"orders-us\"] as of 4, 0",
            "topics [(\"orders-eu\", 2), (\"orders-us\", 1)]",
            "group epoch Some(1)",
            "a shall have Some([0, 1, 0])",
            "target epoch Some(1)",
            "a in 1 after 0 state 0 has [0, 1, 0] gives up []",
        ]
    );
    let described = driver.describe();
    let member = &described.groups[0].members[0];
    assert_eq!(member.subscribed_topic_regex.as_deref(), Some("orders-.*"));
    assert!(member.subscribed_topic_names.is_empty());
    let end = driver.log_end();
    assert_eq!(count(&driver.beat(alive("a", 1))), (1, None));
    driver.beat(joins("b", "orders-.*"));
    let all = driver.written(end);
    assert!(!all.iter().any(|record| record.contains("orders-")), "it is known: {all:?}");
    driver.fail_over();
}

#[test]
fn topics_that_come_and_go_are_noticed_at_the_next_heartbeat() {
    let mut driver = driver();
    driver.beat(joins("a", "orders-.*"));
    driver.set_topic("orders-cn", Some(1));
    driver.set_topic("my-orders-cn", Some(1));
    let end = driver.log_end();
    assert_eq!(count(&driver.beat(alive("a", 1))), (2, Some(4)));
    assert_eq!(
        driver.written(end)[..3],
        [
            "orders-.* is [\"orders-cn\", \"orders-eu\", \"orders-us\"] as of 6, 0",
            "topics [(\"orders-cn\", 1), (\"orders-eu\", 2), (\"orders-us\", 1)]",
            "group epoch Some(2)",
        ]
    );
    driver.fail_over();
    driver.set_topic("refunds", None);
    let end = driver.log_end();
    assert_eq!(count(&driver.beat(alive("a", 2))), (2, None));
    assert_eq!(driver.log_end(), end, "it is none of theirs");
    driver.set_topic("orders-cn", None);
    assert_eq!(driver.beat(alive("a", 2)).error_code, 0);
    assert_eq!(
        driver.written(end)[..3],
        [
            "orders-.* is [\"orders-eu\", \"orders-us\"] as of 8, 0",
            "topics [(\"orders-eu\", 2), (\"orders-us\", 1)]",
            "group epoch Some(3)",
        ]
    );
    driver.fail_over();
}

#[test]
fn an_expression_that_nobody_has_any_more_is_forgotten() {
    let mut driver = driver();
    driver.beat(joins("a", "orders-.*"));
    driver.beat(joins("b", "orders-.*"));
    let end = driver.log_end();
    // Said together with names, it adds to them; left out it stays; an empty one takes it away.
    driver.beat(alive("b", 2).with_subscribed_topic_names(Some(vec![text("refunds").into()])));
    assert!(!driver.written(end).iter().any(|record| record.ends_with("is gone")));
    driver.beat(alive("b", 3).with_subscribed_topic_regex(Some(text(""))));
    assert!(!driver.written(end).iter().any(|record| record.ends_with("is gone")));
    let end = driver.log_end();
    driver.beat(alive("a", 1).with_subscribed_topic_regex(Some(text("__.*|ref.*"))));
    assert_eq!(
        driver.written(end)[..5],
        [
            "a said",
            "orders-.* is gone",
            "__.*|ref.* is [\"__consumer_offsets\", \"refunds\"] as of 4, 0",
            "topics [(\"__consumer_offsets\", 1), (\"refunds\", 1)]",
            "group epoch Some(5)",
        ]
    );
    driver.fail_over();
    let end = driver.log_end();
    driver.beat(alive("a", -1));
    assert_eq!(
        driver.written(end),
        [
            "a has nothing",
            "a shall have None",
            "a is gone",
            "__.*|ref.* is gone",
            "topics [(\"refunds\", 1)]",
            "group epoch Some(6)",
        ]
    );
    driver.fail_over();
}

#[test]
fn what_is_no_expression_is_refused_and_changes_nothing() {
    let mut driver = driver();
    let response = driver.beat(joins("a", "(orders"));
    assert_eq!(response.error_code, ErrorCode::InvalidRegularExpression.code());
    assert_eq!(
        response.error_message.as_deref(),
        Some("SubscribedTopicRegex `(orders` is not a valid regular expression: unclosed group.")
    );
    let long = driver.beat(joins("a", &"o".repeat(40_000)));
    assert_eq!(long.error_code, ErrorCode::InvalidRegularExpression.code());
    assert_eq!((driver.group(), driver.log_end()), (None, 0));
    driver.beat(joins("a", "orders-eu"));
    let end = driver.log_end();
    let response = driver.beat(alive("a", 1).with_subscribed_topic_regex(Some(text("a)(b"))));
    assert_eq!(response.error_code, ErrorCode::InvalidRegularExpression.code());
    assert_eq!((driver.log_end(), count(&driver.beat(alive("a", 1)))), (end, (1, None)));
}

#[test]
fn nobody_is_given_what_they_may_not_describe() {
    let mut driver = driver();
    driver.hidden = Some("orders-us");
    assert_eq!(count(&driver.beat(joins("a", "orders-.*"))), (1, Some(2)));
    assert_eq!(driver.written(1)[0], "orders-.* is [\"orders-eu\"] as of 4, 0");
    // Somebody with other rights shares the resolution that there is, until topics or ACLs change; then who comes first
    // resolves it anew, and the others leave that alone.
    driver.hidden = None;
    let end = driver.log_end();
    driver.beat(alive("a", 1));
    assert_eq!(driver.log_end(), end);
    driver.touch_topics();
    driver.beat(alive("a", 1));
    assert_eq!(driver.written(end)[0], "orders-.* is [\"orders-eu\", \"orders-us\"] as of 5, 0");
    driver.hidden = Some("orders-us");
    let end = driver.log_end();
    driver.beat(alive("a", 2));
    driver.beat(alive("a", 2));
    assert_eq!(driver.log_end(), end);
}

#[test]
fn a_classic_member_that_joins_resolves_nothing_and_the_next_heartbeat_does() {
    let mut driver = driver();
    driver.beat(joins("a", "orders-.*"));
    driver.set_topic("orders-cn", Some(1));
    let end = driver.log_end();
    let subscription = bytes::Bytes::from_static(b"\0\0\0\0\0\x01\0\x07refunds\xff\xff\xff\xff");
    let mut request = JoinGroupRequest::default()
        .with_group_id(text(GROUP).into())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![
            JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription),
        ]);
    // The second changes nothing in the group, and finds nothing to do.
    for _ in 0..2 {
        let ResponseKind::JoinGroup(joined) = driver.ask(3, request.clone()) else { panic!("not an answer") };
        assert_eq!(joined.error_code, 0);
        request.member_id = joined.member_id;
    }
    assert!(!driver.written(end).iter().any(|record| record.contains("orders-.* is")));
    driver.hidden = Some("orders-us");
    let end = driver.log_end();
    driver.beat(alive("a", 1));
    assert_eq!(driver.written(end)[0], "orders-.* is [\"orders-cn\", \"orders-eu\"] as of 5, 0");
    driver.fail_over();
}
