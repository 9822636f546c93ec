{{/* The demo: page and gateway on the pod's own loopback, where `kubectl port-forward` reaches them and nobody else. */}}

{{- define "flopledger.demo.config" -}}
{{- dict
  "data_dir" "/var/lib/flopledger"
  "node_lock" "/var/lib/flopledger/node.lock"
  "cluster" (default "demo" .Values.cluster)
  "backends" (list "cpu")
  "collector_port" .Values.collector.port
  | include "flopledger.toml" -}}
{{- end }}

{{- define "flopledger.demo.container" -}}
{{ include "flopledger.container.security" . }}
env:
  - name: FLOPLEDGER_CONFIG
    value: /etc/flopledger/config/flopledger.toml
  - name: FLOPLEDGER_COLLECTOR_HOST
    valueFrom:
      fieldRef:
        fieldPath: status.podIP
resources:
  {{- toYaml .Values.demo.resources | nindent 2 }}
volumeMounts:
  {{- include "flopledger.mounts" . | nindent 2 }}
  - name: data
    mountPath: /var/lib/flopledger
{{- end }}
