{{/* What every pod and container of the chart has in common. */}}

{{- define "flopledger.uid" -}}
65532
{{- end }}

{{/* (list $ $uid): nobody but the API server's own clients gets a token, and no Service of the namespace becomes an
environment variable: one called flopledger-… would read as a setting. */}}
{{- define "flopledger.pod" -}}
{{- $root := first . -}}
{{- $uid := last . | int -}}
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: {{ ne $uid 0 }}
  runAsUser: {{ $uid }}
  runAsGroup: {{ $uid }}
  fsGroup: {{ include "flopledger.uid" . }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "flopledger.container.security" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* The message that `kubectl describe` shows is the last line that the program wrote. */}}
{{- define "flopledger.container" -}}
{{- $root := first . -}}
{{- $image := last . -}}
image: {{ include "flopledger.image" (list $root $image) }}
imagePullPolicy: {{ $image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}

{{- define "flopledger.mounts" -}}
- name: config
  mountPath: /etc/flopledger/config
  readOnly: true
- name: secrets
  mountPath: /etc/flopledger/secrets
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- end }}

{{/* (list "name of the ConfigMap" "sources of secrets") */}}
{{- define "flopledger.volumes" -}}
- name: config
  configMap:
    name: {{ first . }}
- name: secrets
  {{- if last . | trim }}
  projected:
    defaultMode: 0440
    sources:
      {{- last . | trim | nindent 6 }}
  {{- else }}
  emptyDir: {}
  {{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- end }}

{{/* (list "port" startup seconds "/path of readiness") */}}
{{- define "flopledger.probes" -}}
{{- $port := first . -}}
startupProbe:
  httpGet:
    path: /healthz
    port: {{ $port }}
  periodSeconds: 5
  failureThreshold: {{ div (index . 1) 5 }}
livenessProbe:
  httpGet:
    path: /healthz
    port: {{ $port }}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: {{ last . }}
    port: {{ $port }}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}
