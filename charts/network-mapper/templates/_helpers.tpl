{{/* Name of the chart in names of objects. */}}
{{- define "network-mapper.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of the mapper's objects; that of the sniffers' has eight characters more, and a Service's may have 63. */}}
{{- define "network-mapper.fullname" -}}
{{- $name := include "network-mapper.name" . -}}
{{- $full := "" -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $full = .Release.Name -}}
{{- else -}}
{{- $full = printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- $full = $full | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z]" $full) -}}
{{- fail (printf "the objects would be called %q, and the name of a Service begins with a letter: set fullnameOverride, or choose another name for the release" $full) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{- define "network-mapper.sniffer.fullname" -}}
{{- printf "%s-sniffer" (include "network-mapper.fullname" .) -}}
{{- end -}}

{{/* Name of what belongs to the whole cluster. Neither part has a dot in it, so two installations never meet. */}}
{{- define "network-mapper.clusterName" -}}
{{- printf "%s.%s" (include "network-mapper.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "network-mapper.sniffer.clusterName" -}}
{{- printf "%s.%s" (include "network-mapper.sniffer.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* What chooses the pods of a component: (dict "root" $ "component" "mapper"). */}}
{{- define "network-mapper.selector" -}}
app.kubernetes.io/name: network-mapper
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of an object or a pod, with the arguments of its metadata. What chooses pods wins over all others. */}}
{{- define "network-mapper.labels" -}}
{{- $labels := mergeOverwrite (deepCopy (.root.Values.commonLabels | default dict)) (.labels | default dict) -}}
{{- $labels = mergeOverwrite $labels (include "network-mapper.selector" . | fromYaml) -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "network-mapper" -}}
{{- $_ := set $labels "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- if not .pod -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_")) -}}
{{- end -}}
{{- toYaml $labels -}}
{{- end -}}

{{/*
Metadata of an object: (dict "root" $ "component" "mapper" "name" …), with "labels" and "annotations" for more of them,
"wide" true for what belongs to the whole cluster, and "pod" true, without a name, for a pod's template.
*/}}
{{- define "network-mapper.metadata" -}}
{{- $meta := dict "labels" (include "network-mapper.labels" . | fromYaml) -}}
{{- with mergeOverwrite (deepCopy (.root.Values.commonAnnotations | default dict)) (.annotations | default dict) -}}
{{- $_ := set $meta "annotations" . -}}
{{- end -}}
{{- if .name -}}
{{- $_ := set $meta "name" .name -}}
{{- if not .wide -}}
{{- $_ := set $meta "namespace" .root.Release.Namespace -}}
{{- end -}}
{{- end -}}
{{- toYaml $meta -}}
{{- end -}}

{{- define "network-mapper.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Secrets for the image, as a pod lists them; the values may give names alone. */}}
{{- define "network-mapper.pullSecrets" -}}
{{- $secrets := list -}}
{{- range .Values.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{- define "network-mapper.serviceAccount" -}}
{{- .Values.mapper.serviceAccount.name | default (ternary (include "network-mapper.fullname" .) "default" .Values.mapper.serviceAccount.create) -}}
{{- end -}}

{{- define "network-mapper.sniffer.serviceAccount" -}}
{{- .Values.sniffer.serviceAccount.name | default (ternary (include "network-mapper.sniffer.fullname" .) "default" .Values.sniffer.serviceAccount.create) -}}
{{- end -}}

{{/* Where sniffers send reports. The cluster's domain is not known here; a pod's resolver adds it. */}}
{{- define "network-mapper.url" -}}
{{- if not (or .Values.mapper.enabled .Values.sniffer.enabled) -}}
{{- fail "mapper.enabled and sniffer.enabled are both false: nothing would be installed" -}}
{{- end -}}
{{- if .Values.sniffer.mapperUrl -}}
{{- .Values.sniffer.mapperUrl -}}
{{- else if .Values.mapper.enabled -}}
{{- printf "http://%s.%s.svc:9090" (include "network-mapper.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- fail "mapper.enabled is false, so sniffer.mapperUrl has to name the mapper that sniffers send their reports to" -}}
{{- end -}}
{{- end -}}

{{/* A setting as the program reads it: whole numbers without an exponent, lists with commas, `,` for an empty one. */}}
{{- define "network-mapper.text" -}}
{{- if kindIs "slice" . -}}
{{- join "," . | default "," -}}
{{- else if kindIs "float64" . -}}
{{- ternary (int64 . | toString) (printf "%.9f" . | trimAll "0") (eq (floor .) .) -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* Variables of a container: (dict "fixed" (list of variables) "settings" (map) "extra" (list) "at" "mapper"). */}}
{{- define "network-mapper.env" -}}
{{- $names := dict -}}
{{- $env := .fixed -}}
{{- range $key, $value := .settings -}}
{{- $name := printf "NETWORK_MAPPER_%s" (snakecase $key | upper) -}}
{{- $env = append $env (dict "name" $name "value" (include "network-mapper.text" $value)) -}}
{{- end -}}
{{- range $env -}}
{{- $_ := set $names .name true -}}
{{- end -}}
{{- $at := .at -}}
{{- $more := dict -}}
{{- range .extra -}}
{{- if hasKey $names .name -}}
{{- fail (printf "%s.extraEnv sets %s, which the chart sets from a value of its own: set that value, see docs/chart.md" $at .name) -}}
{{- end -}}
{{- if hasKey $more .name -}}
{{- fail (printf "%s.extraEnv sets %s twice: leave one out" $at .name) -}}
{{- end -}}
{{- $_ := set $more .name true -}}
{{- end -}}
{{- toYaml (concat $env (.extra | default list)) -}}
{{- end -}}

{{/* Probe by HTTP: (dict "path" "/healthz" "port" "http" "more" (map of values)). */}}
{{- define "network-mapper.probe" -}}
{{- $get := dict "path" .path "port" .port -}}
{{- with .host -}}
{{- $_ := set $get "host" . -}}
{{- end -}}
{{- toYaml (merge (dict "httpGet" $get) (deepCopy .more)) -}}
{{- end -}}

{{/* Capabilities that a way of watching takes, as JSON: docs/security.md says what for. */}}
{{- define "network-mapper.sniffer.capabilities" -}}
{{- get (dict "packets" (list "NET_RAW") "sockets" list) .Values.sniffer.capture | toJson -}}
{{- end -}}

{{/* User of the sniffers: Kubernetes gives capabilities to nobody but user 0, and without them nobody has to be it. */}}
{{- define "network-mapper.sniffer.user" -}}
{{- if include "network-mapper.sniffer.capabilities" . | fromJsonArray -}}
{{- toYaml (dict "runAsUser" 0 "runAsGroup" 0) -}}
{{- else -}}
{{- toYaml (dict "runAsUser" 65532 "runAsGroup" 65532 "runAsNonRoot" true) -}}
{{- end -}}
{{- end -}}

{{- define "network-mapper.sniffer.securityContext" -}}
{{- $context := deepCopy .Values.sniffer.securityContext -}}
{{- if and .Values.openshift.enabled (not (hasKey $context "seLinuxOptions")) -}}
{{- $_ := set $context "seLinuxOptions" (dict "type" "spc_t") -}}
{{- end -}}
{{- $capabilities := dict "drop" (list "ALL") -}}
{{- with include "network-mapper.sniffer.capabilities" . | fromJsonArray -}}
{{- $_ := set $capabilities "add" . -}}
{{- end -}}
{{- $_ := set $context "capabilities" $capabilities -}}
{{- $_ := set $context "privileged" false -}}
{{- toYaml $context -}}
{{- end -}}
