"""The central part: takes reports in, finds out whose addresses they speak of, and keeps the map."""
