//! A description, sound or damaged.

use savevm_analyze::schema;

pub fn run(data: &[u8]) {
    if let Ok(document) = schema::Document::new(data.to_vec()) {
        serde_json::to_string(&document).unwrap();
    }
    if let Ok(schema) = schema::read(data) {
        for d in &schema.devices {
            let _ = (d.total(), d.vmsd.size());
        }
    }
    let _ = schema::read_damaged(data);
}
