{{/* Names, labels and images. Selectors never change between versions: only name, instance and component are in them. */}}

{{- define "flopledger.fullname" -}}
{{- $part := default .Chart.Name .Values.nameOverride -}}
{{- $joined := ternary .Release.Name (printf "%s-%s" .Release.Name $part) (contains $part .Release.Name) -}}
{{- default $joined .Values.fullnameOverride | trunc 43 | trimSuffix "-" -}}
{{- end }}

{{/* (list $ "collector") → flopledger-collector */}}
{{- define "flopledger.name" -}}
{{- printf "%s-%s" (include "flopledger.fullname" (first .)) (last .) -}}
{{- end }}

{{- define "flopledger.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{- define "flopledger.labels" -}}
{{- $root := first . -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: flopledger
{{ include "flopledger.selector" . }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* (list $ "collector") → the metadata of an object of that component, under its name */}}
{{- define "flopledger.metadata" -}}
name: {{ include "flopledger.name" . }}
namespace: {{ (first .).Release.Namespace }}
labels:
  {{- include "flopledger.labels" . | nindent 2 }}
{{- end }}

{{/* (list $ .Values.agent.image) */}}
{{- define "flopledger.image" -}}
{{- $root := first . -}}
{{- $image := last . -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end -}}
{{- end }}
