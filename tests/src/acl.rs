//! Rights on the broker: what a user that logs in may do.

use std::ffi::CString;
use std::ptr;

use rdkafka::ClientConfig;
use rdkafka::bindings::{
    rd_kafka_AclBinding_destroy, rd_kafka_AclBinding_new, rd_kafka_AclOperation_t,
    rd_kafka_AclPermissionType_t, rd_kafka_CreateAcls, rd_kafka_CreateAcls_result_acls,
    rd_kafka_ResourcePatternType_t, rd_kafka_ResourceType_t, rd_kafka_acl_result_error,
    rd_kafka_event_CreateAcls_result, rd_kafka_event_destroy, rd_kafka_event_error,
    rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_poll,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaRespErr;

use crate::PATIENCE;
use crate::broker::broker;

/// What a right is given on.
#[derive(Debug, Clone, Copy)]
pub enum On {
    /// Topics.
    Topics,
    /// Consumer groups.
    Groups,
}

/// Lets a user do everything with topics or groups whose names begin so.
///
/// # Panics
/// When the broker refuses.
pub fn allow(user: &str, on: On, prefix: &str) {
    grant(user, on, prefix, rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ALL);
}

/// Lets a user create, use and look at topics whose names begin so, but not change their settings.
///
/// # Panics
/// When the broker refuses.
pub fn allow_but_altering(user: &str, prefix: &str) {
    use rd_kafka_AclOperation_t::{
        RD_KAFKA_ACL_OPERATION_CREATE, RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
        RD_KAFKA_ACL_OPERATION_READ, RD_KAFKA_ACL_OPERATION_WRITE,
    };
    for operation in [
        RD_KAFKA_ACL_OPERATION_CREATE,
        RD_KAFKA_ACL_OPERATION_READ,
        RD_KAFKA_ACL_OPERATION_WRITE,
        RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
    ] {
        grant(user, On::Topics, prefix, operation);
    }
}

fn grant(user: &str, on: On, prefix: &str, operation: rd_kafka_AclOperation_t) {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", broker().bootstrap()).create().unwrap();
    let kind = match on {
        On::Topics => rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
        On::Groups => rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_GROUP,
    };
    let [prefix, principal, host] =
        [prefix, &format!("User:{user}"), "*"].map(|text| CString::new(text).unwrap());
    let no_error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: the client outlives the queue, and the texts the binding; each is freed once, after
    // its last use, and all pointers that librdkafka gives out are looked at before they are
    // followed.
    unsafe {
        let mut binding = rd_kafka_AclBinding_new(
            kind,
            prefix.as_ptr(),
            rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
            principal.as_ptr(),
            host.as_ptr(),
            operation,
            rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
            ptr::null_mut(),
            0,
        );
        assert!(!binding.is_null(), "{user}: {on:?} {prefix:?}");
        let native = client.client().native_ptr();
        let queue = rd_kafka_queue_new(native);
        rd_kafka_CreateAcls(native, &raw mut binding, 1, ptr::null(), queue);
        let event = rd_kafka_queue_poll(queue, i32::try_from(PATIENCE.as_millis()).unwrap());
        assert!(!event.is_null(), "the broker does not answer");
        assert_eq!(rd_kafka_event_error(event), no_error);
        let mut count = 0;
        let results = rd_kafka_CreateAcls_result_acls(
            rd_kafka_event_CreateAcls_result(event),
            &raw mut count,
        );
        assert_eq!(count, 1);
        assert!(rd_kafka_acl_result_error(*results).is_null(), "{user}: {on:?} {prefix:?}");
        rd_kafka_event_destroy(event);
        rd_kafka_queue_destroy(queue);
        rd_kafka_AclBinding_destroy(binding);
    }
}
