// The map as `render.py` embeds it. Fields that are 0, empty or absent are left out there.

export type PeerType = "workload" | "node" | "service" | "external" | "ambiguous";

export interface DocumentPeer {
  type: PeerType;
  name?: string;
  namespace?: string;
  kind?: string;
  /** Of an ambiguous peer: who it may have been, as positions in `peers`. */
  candidates?: number[];
}

/** The Service that was dialled. */
export interface ServiceRef {
  name: string;
  namespace: string;
}

export const COUNTERS = ["connections", "attempts", "lookups", "sockets", "requests", "bytes", "flows"] as const;
export type Counter = (typeof COUNTERS)[number];

export type DocumentEdge = Partial<Record<Counter, number>> & {
  client: number;
  server: number;
  protocol: string;
  service?: number;
  port?: number;
  first_seen?: number;
  last_seen?: number;
  details?: Record<string, string[]>;
};

/** Times are milliseconds since the epoch (UTC), 0 for "never". */
export interface MapDocument {
  format: 1;
  title: string;
  store: string;
  epoch: number;
  watching_since: number;
  generated_at: number;
  since: number;
  until: number;
  /** Edges of the map that were not asked for. */
  left_out: number;
  peers: DocumentPeer[];
  services: ServiceRef[];
  edges: DocumentEdge[];
}
