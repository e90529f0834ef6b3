//! A description, sound or damaged.

use savevm_analyze::schema;

pub fn run(data: &[u8]) {
    if let Ok((json, schema)) = schema::read(data) {
        serde_json::to_string(&json).unwrap();
        for d in &schema.devices {
            let _ = (d.total(), d.vmsd.size());
        }
    }
    let _ = schema::read_damaged(data);
}
