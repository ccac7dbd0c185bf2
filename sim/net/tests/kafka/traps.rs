//! Bytes that clients in the wild insist on.

use super::*;

/// The bytes of the response to a frame of these bytes, without the frame's length.
fn answer(client: &mut Client, api: i16, version: i16, rest: &[u8]) -> Option<Vec<u8>> {
    let header =
        [&api.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes(), &[0, 1, b't']].concat();
    let length = u32::try_from(header.len() + rest.len()).expect("it is short");
    client.socket.write_all(&[&length.to_be_bytes()[..], &header, rest].concat()).expect("the socket stands");
    client.frame().map(|frame| frame.to_vec())
}

/// KIP-511: the header of version 0 and a body of version 0, whatever the client asked in, with the versions of this one API.
#[test]
fn an_unknown_version_of_api_versions_gets_a_body_that_everybody_can_read() {
    let server = Running::start();
    let told = answer(&mut server.client(0), 18, 99, &[0, 2, b'x', 2, b'1', 0]);
    let expected: [&[u8]; 3] = [&[0, 0, 0, 7], &[0, 35], &[0, 0, 0, 1, 0, 18, 0, 0, 0, 4]];
    assert_eq!(told, Some(expected.concat()));
    server.end();
}

/// Also in the flexible versions ApiVersions keeps the old header, and Produce is on offer from version 0 on though 0 to 2 are
/// not served (KAFKA-18659).
#[test]
fn api_versions_keeps_the_old_header_and_offers_old_produce() {
    let server = Running::start();
    let told = answer(&mut server.client(0), 18, 4, &[0, 2, b'x', 2, b'1', 0]).expect("it is answered");
    assert_eq!(told[..6], [0, 0, 0, 7, 0, 0], "the error follows the correlation id, no tags between them");
    // Of the list, which is in the order of the keys: Produce, its versions, no tags.
    assert_eq!(told[7..14], [0, 0, 0, 0, 0, 13, 0]);
    let refused = answer(&mut server.client(0), 0, 2, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(refused, None, "the connection is closed");
    server.end();
}

/// A tagged field with its default value is not written; old librdkafka takes an empty `node_endpoints` for an error.
#[test]
fn tagged_fields_are_written_only_if_they_say_something() {
    let server = Running::start();
    let mut client = with_topic(&server, "orders");
    let id = client.metadata("orders").topics[0].topic_id;
    // Fetch 16: waits for nothing, session-less, one partition of the topic, no rack, no tags.
    let wants: [&[u8]; 6] = [
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 2],
        id.as_bytes(),
        &[2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        &[0xff; 8],
        &[0, 16, 0, 0, 0, 0],
        &[1, 1, 0],
    ];
    let told = answer(&mut client, 1, 16, &[&[0][..], &wants.concat()].concat()).expect("it is answered");
    // Correlation id, no tags, throttle time, error, session, one topic.
    assert_eq!(told[..16], [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(told[16..32], *id.as_bytes());
    // No tags of the partition, the topic, the response.
    assert_eq!(told[told.len() - 3..], [0; 3]);
    let partition = &told[33..];
    // Partition 0, no error, high watermark, last stable offset and log start 0, nothing aborted, no preferred replica, and
    // empty records.
    let expected: [&[u8]; 4] = [&[0; 4 + 2 + 3 * 8], &[0], &[0xff; 4], &[1]];
    assert_eq!(told[32], 2);
    assert_eq!(partition[..partition.len() - 3], expected.concat());
    server.end();
}

/// The broker that Metadata names as the controller is one that answers, and not the voter that leads the quorum.
#[test]
fn metadata_names_a_controller_that_lives() {
    let server = Running::start();
    let mut client = server.client(0);
    for _ in 0..5 {
        let told = client.metadata("nothing");
        let listed: Vec<i32> = told.brokers.iter().map(|broker| broker.node_id.0).collect();
        assert!(listed.contains(&told.controller_id.0), "{} is not one of {listed:?}", told.controller_id.0);
    }
    server.end();
}
