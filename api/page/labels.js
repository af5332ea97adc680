// The labels of a picture. The page asks for the most that the service gives, and shows as many as the person wants.

export const MOST_LABELS = 10;
// Below a half, the model itself considers its first label more likely wrong than right.
const SURE_FROM = 0.5;

export function unsure(level) {
  return level < SURE_FROM;
}

// The most likely ones first.
export function predictions(record, top) {
  return Object.values(record.result).slice(0, top)
    .map((each) => ({ label: each.predicted_label, level: each.confidence_level }));
}

// The service's response with as many labels as are shown.
export function shownRecord(record, top) {
  return { ...record, result: Object.fromEntries(Object.entries(record.result).slice(0, top)) };
}

// The confidence of the first label; pictures without labels come after all others.
export function firstLevel({ record }) {
  return record ? predictions(record, 1)[0]?.level ?? 0 : -1;
}
