//! What is stored of a client by the settings `RECORD_IP_ADDRESS` and `RECORD_USER_AGENT`, as Django does
//! (`tests/test_recorded_corpus.py` reads the same vectors).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use jwtauth::Recorded;
use serde_json::{Map, Value};

fn vectors(name: &str) -> Map<String, Value> {
    let vectors: Value = serde_json::from_str(include_str!("../testdata/clients.json")).unwrap();
    vectors[name].as_object().unwrap().clone()
}

#[test]
fn truncated_address_is_the_network() {
    for (address, network) in vectors("addresses") {
        let stored = Recorded::Truncated.address(address.parse().unwrap());
        assert_eq!(stored, network.as_str().unwrap().parse().ok(), "{address}");
    }
}

#[test]
fn truncated_user_agent_is_the_names_of_browser_and_system() {
    for (header, names) in vectors("user_agents") {
        assert_eq!(Recorded::Truncated.user_agent(&header), names.as_str().unwrap(), "{header:?}");
    }
}

#[test]
fn whole_user_agent_is_its_printable_characters() {
    for (header, stored) in vectors("whole_user_agents") {
        assert_eq!(Recorded::Full.user_agent(&header), stored.as_str().unwrap(), "{header:?}");
    }
}
