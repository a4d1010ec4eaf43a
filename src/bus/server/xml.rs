//! The interfaces as D-Bus introspection XML, for `data/app.holdfast.Holdfast.Engine.xml`.

use std::sync::Arc;

use zbus::object_server::Interface;

use super::events::Events;
use super::faces::{
    Changes, Conflicts, Engine, History, Locations, Pins, Problems, Stash, States, Status, Store, Sync,
};
use crate::{Commands, OBJECT_PATH};

const HEAD: &str = r#"<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<!--
  How other programs preload, pin and read the three states of Holdfast's files.

  A path is a byte array: NAME:path/in/location, or an absolute path in the mount; one NUL at its end
  is ignored. Contents are file descriptors, both ways. Values are dictionaries that may grow: ignore keys that you do not know.
  Times are nanoseconds since 1970. Errors are app.holdfast.Engine1.Error.Usage, .Offline, .Refused
  and .Failed, each with one sentence.
-->
"#;

/// What zbus tells of the interfaces, without those that every object has. `commands` is not asked.
pub fn introspection(commands: Arc<dyn Commands>) -> String {
    let engine = Engine::new(commands);
    let faces: [Box<dyn Interface>; 12] = [
        Box::new(Status(engine.clone())),
        Box::new(Locations(engine.clone())),
        Box::new(Pins(engine.clone())),
        Box::new(Sync(engine.clone())),
        Box::new(Changes(engine.clone())),
        Box::new(Problems(engine.clone())),
        Box::new(States(engine.clone())),
        Box::new(Conflicts(engine.clone())),
        Box::new(Stash(engine.clone())),
        Box::new(History(engine.clone())),
        Box::new(Store(engine.clone())),
        Box::new(Events::new(engine)),
    ];
    let mut xml = String::from(HEAD);
    xml.push_str(&format!("<node name=\"{OBJECT_PATH}\">\n"));
    for face in faces {
        face.introspect_to_writer(&mut xml, 2);
    }
    xml.push_str("</node>\n");
    xml
}
