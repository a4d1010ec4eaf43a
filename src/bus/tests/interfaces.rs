//! The published description of the interfaces is what is served.

use std::path::Path;
use std::sync::Arc;

use crate::fake::Fake;

#[test]
fn the_xml_is_what_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/app.holdfast.Holdfast.Engine.xml");
    let served = holdfast_bus::introspection(Arc::new(Fake::new()));
    if std::env::var_os("HOLDFAST_RENEW").is_some() {
        std::fs::write(&path, &served).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == served,
        "data/app.holdfast.Holdfast.Engine.xml is not what the bus serves; if the change is meant:\n  \
         HOLDFAST_RENEW=1 cargo test -p holdfast-bus the_xml_is_what_is_served"
    );
}
